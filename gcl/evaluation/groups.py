"""Who is served well: metrics by how active users are, and by how popular items are."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from gcl.errors import InputError
from gcl.evaluation.result import Group


def check_quantiles(quantiles: Sequence[float]) -> None:
    """An error unless the quantiles ascend strictly inside (0, 1)."""
    inside = [0.0, *quantiles, 1.0]
    if any(a >= b for a, b in pairwise(inside)):
        raise InputError(
            f"quantiles must ascend inside (0, 1), got {tuple(quantiles)}; for instance (1/3, 2/3) for terciles."
        )


def assign(counts: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Group of each entry of ``counts`` [n], 0 for the lowest: how many of the quantiles' values it exceeds.

    Equal counts share a group, so groups may differ in size, and one may be empty.
    """
    ordered = counts.sort().values
    places = [max(int(-(-q * len(counts) // 1)) - 1, 0) for q in quantiles]
    return torch.searchsorted(ordered[places], counts, right=False)


def by_activity(per_user: Mapping[str, Tensor], rows: Tensor, quantiles: Sequence[float]) -> list[Group]:
    """Means of ``per_user`` [n] in groups of users by their number of train rows ``rows`` [n]."""
    group = assign(rows, quantiles)
    found = []
    for g in group.unique().tolist():
        member = group == g
        metrics = {name: float(values[member].mean()) for name, values in per_user.items()}
        low, high = rows[member].aminmax()
        found.append(Group("activity", int(low), int(high), int(member.sum()), metrics))
    return found


def by_popularity(
    positives: tuple[Tensor, Tensor],
    hits: tuple[Tensor, Tensor],
    popularity: Tensor,
    quantiles: Sequence[float],
    names: Mapping[str, int],
) -> list[Group]:
    """Recall of the relevant items of each group of items by popularity, over the users who have one in the group.

    A group in which nobody has one has no recall, as groups of warm items among cold candidates.
    ``positives``: (row of the user, item) of every relevant item, flat. ``hits``: (items [n, K], bool [n, K]).
    ``popularity`` [num_items] train rows. ``names``: name of the metric -> its cut-off.
    """
    group = assign(popularity, quantiles)
    items, hit = hits
    count = len(quantiles) + 1

    def table(row: Tensor, item: Tensor) -> Tensor:
        return torch.bincount(row * count + group[item], minlength=len(items) * count).view(-1, count)

    wanted = table(*positives)
    found = []
    for g in group.unique().tolist():
        member, has = group == g, wanted[:, g] > 0
        metrics = {}
        for name, k in names.items() if bool(has.any()) else ():
            row, place = hit[:, :k].nonzero(as_tuple=True)
            got = table(row, items[row, place])[:, g]
            metrics[name] = float((got[has] / wanted[has, g].double()).mean())
        low, high = popularity[member].aminmax()
        found.append(Group("popularity", int(low), int(high), int(member.sum()), metrics))
    return found
