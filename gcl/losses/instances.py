"""Instance and cluster contrast on a bank with one row a thing."""

import torch
from torch import Tensor

from gcl.losses.base import Objective, Rows, Stateful
from gcl.losses.checks import BUILT, expect_places
from gcl.losses.contrast import Contrast
from gcl.losses.functional.memory import closest, nearest
from gcl.losses.functional.mixing import pick, uniform
from gcl.losses.functional.numerics import lse, normalise, softplus
from gcl.losses.functional.partition import tile_rows
from gcl.losses.functional.streaming import by_rows
from gcl.losses.slots.temperatures import positive_temperature

__all__ = ["InterCLR"]


class InterCLR(Stateful, Objective):
    r"""Positives among other things of the same pseudo-label, negatives semi-hard, beside plain InfoNCE.

    L = (1 - w) InfoNCE(z1, z2) + w L_inter; a bank holds the last row of every id. L_inter compares z1_i with a random
    bank row of the same pseudo-label as positive, with a cosine margin m = -0.5 (logit (s - m) / τ), against
    ``negatives`` rows drawn from the ``pool`` most similar bank rows of other labels. Bank rows carry no gradient.
    Labels are set by k-means on the bank, every so many training calls, or by :meth:`recluster`; before that
    L_inter is 0. Without ids there is no bank, and L is InfoNCE. Xie et al., Delving into Inter-Image Invariance
    (IJCV 2022).

    Args:
        temperature: τ > 0.
        weight: w in [0, 1].
        margin: m.
        negatives: drawn rows.
        pool: candidates that they are drawn from.
        clusters: number of pseudo-labels.
        every: training calls between clusterings; 0: by :meth:`recluster` alone.
    """

    kind = "pair"
    detached = True
    remembers = True
    reference = "Xie et al., IJCV 2022"
    reduces = ("(1 - weight) InfoNCE before the first clustering; InfoNCE with weight=0",)
    slots = {
        "similarity": "Cosine()",
        "positives": "aligned rows; a bank row of the pseudo-label",
        "negatives": "rows of the other view; semi-hard bank rows of other labels",
        "margin": "additive, negative",
        "kernel": "LogRatio(denominator='all')",
        "views": "two terms, weighted",
    }
    bank: Tensor | None
    labels: Tensor
    calls: Tensor

    def __init__(
        self,
        temperature: float = 0.2,
        weight: float = 0.25,
        margin: float = -0.5,
        negatives: int = 1024,
        pool: int = 4096,
        clusters: int = 64,
        every: int = 50,
    ) -> None:
        super().__init__()
        if clusters < 1 or every < 0:
            raise ValueError(f"clusters must be at least 1 and every at least 0, got {clusters}, {every}.")
        self.clusters, self.every = clusters, every
        if not 0 <= weight <= 1 or min(negatives, pool) < 1:
            raise ValueError(
                f"weight in [0, 1], negatives >= 1, pool >= 1 must hold, got {weight}, {negatives}, {pool}."
            )
        self.temperature, self.weight, self.margin = positive_temperature(temperature), weight, margin
        self.negatives, self.pool = negatives, pool
        self.contrast = Contrast(temperature=temperature)
        self.register_buffer("bank", None)
        self.register_buffer("labels", torch.empty(0, dtype=torch.long))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def allocate(self, num_ids: int, dim: int) -> None:
        """Bank rows of 0 and label -1 for every id."""
        self.bank, self.labels = torch.zeros(num_ids, dim), torch.full((num_ids,), -1)

    @torch.no_grad()
    def recluster(self, clusters: int, iterations: int = 20) -> Tensor:
        """Label the visited ids by k-means on their bank rows; returns the labels [num_ids], -1 where unvisited."""
        if self.bank is None:
            raise RuntimeError("InterCLR has no bank yet: call objective.build(num_ids, dim) first.")
        visited = (self.bank.abs().sum(1) > 0).nonzero()[:, 0]
        rows = self.bank[visited]
        count = min(clusters, len(rows))
        self.labels.fill_(-1)
        if count:
            centres = rows[torch.randperm(len(rows), generator=self.generator)[:count].to(rows.device)]
            for _ in range(iterations):
                place = nearest(rows, centres)
                sums = torch.zeros_like(centres).index_add_(0, place, rows)
                centres = torch.where(sums.abs().sum(1, keepdim=True) > 0, normalise(sums), centres)
            self.labels[visited] = nearest(rows, centres)
        return self.labels

    def compute(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Rows:
        """Loss of every row [B]."""
        values, _ = self.contrast.compute(z1, z2, ids)
        if ids is None or self.bank is None:
            return values, None
        expect_places("ids", ids, len(self.bank), BUILT)
        inter = self._inter(normalise(z1), ids)
        if self.training:
            self.bank[ids] = normalise(z1.detach()).to(self.bank.dtype)
            self.calls += 1
            if self.every and int(self.calls) % self.every == 0:
                self.recluster(self.clusters)
        return (1 - self.weight) * values + self.weight * inter, None

    def _inter(self, x: Tensor, ids: Tensor) -> Tensor:
        """L_inter of every row, 0 where there is no other row of the label."""
        assert self.bank is not None
        bank, label = self.bank.clone().to(x.dtype), self.labels[ids]
        friend, held = self._friends(ids, label)
        if not bool(held.any()):
            return torch.zeros_like(x[:, 0])
        tau = self.temperature

        def scores(a: Tensor, places: Tensor, rows: Tensor) -> Tensor:
            chosen = rows.index_select(0, places.clamp_min(0).flatten()).view(*places.shape, -1)
            return lse(((chosen @ a[:, :, None])[..., 0] / tau).masked_fill(places < 0, -torch.inf))

        keys, width = (x, self._chosen(x, bank, label)), self.negatives * x.shape[1]
        apart = by_rows(scores, keys, (bank,), columns=width, least=1)
        positive = ((x * bank[friend]).sum(1) - self.margin) / self.temperature
        return torch.where(held, softplus(apart - positive), 0.0)

    @torch.no_grad()
    def _chosen(self, x: Tensor, bank: Tensor, label: Tensor) -> Tensor:
        """Places [B, k] of drawn rows of other labels among the most similar ones, -1 where there are too few."""
        size, parts = min(self.pool, len(bank)), list[Tensor]()
        step = tile_rows(len(bank), x.device)
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            pool = closest(x[part], bank, size)
            other = (self.labels[pool] != label[part, None]) & (self.labels[pool] >= 0)
            chance = uniform(x, *pool.shape, generator=self.generator).masked_fill(~other, -1.0)
            drawn = chance.topk(min(self.negatives, size), dim=1)
            parts.append(pool.gather(1, drawn.indices).masked_fill(drawn.values < 0, -1))
        return torch.cat(parts)

    def _friends(self, ids: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """For every row a random other id of its label, and whether there is one."""
        order = self.labels.argsort(stable=True)
        ranked = self.labels[order]
        start, stop = torch.searchsorted(ranked, label), torch.searchsorted(ranked, label, right=True)
        size = stop - start
        place = start + pick(label, 2**31 - 1, len(label), generator=self.generator) % size.clamp_min(1)
        friend = order[place]
        following = order[start + (place - start + 1) % size.clamp_min(1)]
        friend = torch.where(friend == ids, following, friend)
        return friend, (label >= 0) & (size > 1)
