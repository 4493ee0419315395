"""Graphs made from what is known of items: nearest neighbours by features, co-occurrence in train."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from gcl.data import CSR, TrainInteractions
from gcl.errors import InputError
from gcl.graph.adjacency import Adjacency

MEMORY = 256 << 20


def knn_graph(
    features: Tensor,
    k: int = 10,
    *,
    present: Tensor | None = None,
    weights: Literal["cosine", "one"] = "cosine",
    loops: bool = True,
    memory_bytes: int = MEMORY,
) -> Adjacency:
    """Every row's ``k`` nearest rows by cosine: A[i, j] = cos(x_i, x_j), or 1, for j among the k nearest of i.

    Not normalised and not symmetrised, as LATTICE (Zhang et al., MM 2021) and FREEDOM (Zhou and Shen, MM 2023) keep it;
    ``.normalize("sym")`` gives their D^-1/2 A D^-1/2. Similarities are computed for blocks of rows and never stored.

    Args:
        features: [n, d] floats.
        k: neighbours of a row; fewer where fewer rows are present. Of equal cosines the lower row is taken.
        present: [n] bool; rows that are False, and rows of zeros, which have no direction, have no edges at all.
        weights: ``cosine``, or ``one`` for a binary graph.
        loops: whether a row is the first of its own k neighbours.
        memory_bytes: bound of a block of similarities.

    Raises:
        InputError: for k below 1 or features that are not a finite matrix.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}.")
    if weights not in ("cosine", "one"):
        raise InputError(f"weights must be 'cosine' or 'one', got {weights!r}.")
    rows = _directions(features, present)
    kept = features.detach() if len(rows) == len(features) else features.detach().index_select(0, rows)
    x = F.normalize(kept.float(), dim=1)
    count, take = len(rows), min(k, len(rows) - (not loops))
    near, cosine = [], []
    for block in torch.arange(count, device=x.device).split(_block(count, memory_bytes)):
        scores = x[block] @ x.T
        scores.scatter_(1, block[:, None], 2.0 if loops else -torch.inf)
        value, column = _largest(scores, take)
        near.append(column)
        cosine.append(value.clamp(-1.0, 1.0))
    if take < 1:
        near, cosine = [rows.new_zeros(count, 0)], [x.new_zeros(count, 0)]
    column, value = torch.cat(near), torch.cat(cosine)
    source = rows[:, None].expand_as(column).reshape(-1)
    values = value.flatten() if weights == "cosine" else torch.ones(value.numel(), device=x.device)
    return Adjacency.from_edges(source, rows[column].flatten(), len(features), len(features), values)


def cooccurrence_graph(
    train: TrainInteractions,
    k: int = 10,
    *,
    weights: Literal["cosine", "count"] = "cosine",
    memory_bytes: int = MEMORY,
) -> Adjacency:
    """Every item's ``k`` closest items by common users: A[i, j] = c_ij / sqrt(n_i n_j), or c_ij, items [I, I].

    c_ij counts the users who have both in train, c_ii = 0; n_i is the number of users of i. Only pairs with a common
    user are edges; of equal weights the lower item is taken. Sparse products over blocks of items, never dense.

    Args:
        train: the training part; no other type is taken, so that no valid or test pair can enter.
        k: neighbours of an item.
        weights: ``cosine``, or ``count``, in which popular items dominate.
        memory_bytes: bound of a block of products.

    Raises:
        TypeError: for anything but TrainInteractions.
        InputError: for k below 1.
    """
    if not isinstance(train, TrainInteractions):
        raise TypeError(f"a co-occurrence graph is built from TrainInteractions alone, got {type(train).__name__}.")
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}.")
    if weights not in ("cosine", "count"):
        raise InputError(f"weights must be 'cosine' or 'count', got {weights!r}.")
    device = train.user.device
    by_item, by_user = (CSR(c.indptr.cpu(), c.indices.cpu()) for c in (train.by_item, train.by_user))
    users = by_item.counts.double()
    found = []
    for first, end in _bounded(by_item, by_user.counts, memory_bytes):
        row, column, count = _common(by_item, by_user, first, end)
        if weights == "cosine":  # the root of one rounded ratio: what is equal stays equal
            count = (count**2 / (users[row] * users[column])).sqrt()
        best = _best(row, count, k)
        found.append((row[best], column[best], count[best].float()))
    row, column, value = (torch.cat(part).to(device) for part in zip(*found, strict=True))
    return Adjacency.from_edges(row, column, train.num_items, train.num_items, value)


def _directions(features: Tensor, present: Tensor | None) -> Tensor:
    """The rows that are present and not zero."""
    if features.dim() != 2 or not features.is_floating_point():
        raise InputError(f"features must be a float matrix [n, d], got {features.dtype} {tuple(features.shape)}.")
    rows = torch.ones(len(features), dtype=torch.bool, device=features.device) if present is None else present
    if rows.shape != features.shape[:1] or rows.dtype != torch.bool:
        raise InputError(
            f"present must be a bool vector of length {len(features)}, got {rows.dtype} {tuple(rows.shape)}."
        )
    bad = (~torch.isfinite(features).all(1) & rows).nonzero()
    if bad.numel():
        raise InputError(f"features must be finite where present, but row {int(bad[0])} is not; mark it absent.")
    return (rows & (features != 0).any(1)).nonzero().flatten()


def _block(columns: int, memory_bytes: int) -> int:
    """Rows of float32 scores that fit, with the copy that a sort makes of them."""
    return max(1, memory_bytes // (16 * max(1, columns)))


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of every row and where they stand; of equal ones the lower column."""
    value, column = torch.topk(scores, min(k + 1, scores.shape[1]), dim=1)
    if value.shape[1] > k > 0:
        tied = (value[:, k - 1] == value[:, k]).nonzero().flatten()
        if tied.numel():
            value[tied, :k], column[tied, :k] = (
                part[:, :k] for part in torch.sort(scores[tied], dim=1, descending=True, stable=True)
            )
    return value[:, :k], column[:, :k]


def _bounded(by_item: CSR, counts: Tensor, memory_bytes: int) -> list[tuple[int, int]]:
    """Blocks of items whose products have a bounded number of terms, one item at least."""
    terms = torch.zeros(len(by_item.indices) + 1, dtype=torch.int64)
    torch.cumsum(counts[by_item.indices], 0, out=terms[1:])
    ends, size = terms[by_item.indptr], max(1, memory_bytes // 192)
    blocks, first, items = [], 0, len(by_item.indptr) - 1
    while first < items:
        end = int(torch.searchsorted(ends, ends[first] + size, right=True)) - 1
        end = min(max(end, first + 1), items)
        blocks.append((first, end))
        first = end
    return blocks


def _common(by_item: CSR, by_user: CSR, first: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
    """Items [n] of the block, other items [n], ascending, and their numbers of common users [n] float64."""
    from scipy.sparse import csr_matrix

    users, items = len(by_user.indptr) - 1, len(by_item.indptr) - 1
    own = by_item.indptr[first : end + 1]
    pairs = by_item.indices[int(own[0]) : int(own[-1])]
    left = csr_matrix((torch.ones(len(pairs)).numpy(), pairs.numpy(), (own - own[0]).numpy()), (end - first, users))
    ones = torch.ones(len(by_user.indices)).numpy()
    right = csr_matrix((ones, by_user.indices.numpy(), by_user.indptr.numpy()), (users, items))
    product = left @ right
    product.sort_indices()
    indptr = torch.from_numpy(product.indptr).long()
    row = torch.repeat_interleave(torch.arange(first, end), indptr.diff())
    column, count = torch.from_numpy(product.indices).long(), torch.from_numpy(product.data).double()
    other = row != column
    return row[other], column[other], count[other]


def _best(row: Tensor, value: Tensor, k: int) -> Tensor:
    """Positions of the k largest values of every row, rows ascending; of equal ones the earlier."""
    order = torch.argsort(value, descending=True, stable=True)
    order = order[torch.argsort(row[order], stable=True)]
    if not row.numel():
        return order
    ordered = row[order]
    start = torch.searchsorted(ordered, ordered)
    return order[torch.arange(len(ordered)) - start < k]
