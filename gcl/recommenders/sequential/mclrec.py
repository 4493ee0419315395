"""MCLRec: hand-made views, learnt ones on top of their vectors, and turns of encoder and augmenters."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gcl.data import Batch, Dataset
from gcl.encoders import TransformerEncoder
from gcl.errors import one_of
from gcl.losses import NTXent, Objective
from gcl.losses.functional.numerics import normalise
from gcl.recommenders.base import Phase
from gcl.recommenders.sequential.base import SequenceRecommender, Targets, sequences_of
from gcl.recommenders.sequential.looks import SequenceLooks
from gcl.recommenders.sequential.next_item import Loss, NextItem
from gcl.views import Crop, Mask, Reorder, Views
from gcl.views.sequence import Looks

Turns = Literal["three", "two", "joint"]


class Augmenter(nn.Sequential):
    """w(h) = normalise(W3 gelu(W2 gelu(W1 h))), widths d -> d/2 -> d/4 -> d; a zero row stays zero."""

    def __init__(self, dim: int) -> None:
        if dim < 4:
            raise ValueError(f"dim of MCLRec must be at least 4, got {dim}.")
        half, quarter = nn.Linear(dim, dim // 2), nn.Linear(dim // 2, dim // 4)
        super().__init__(half, nn.GELU(), quarter, nn.GELU(), nn.Linear(dim // 4, dim))

    def forward(self, h: Tensor) -> Tensor:
        """[B, d] -> [B, d] of unit length."""
        return normalise(super().forward(h))


def separation(a: Tensor, b: Tensor) -> Tensor:
    r"""MCLRec's regulariser R of two views [B, d]: large where positives and negatives lie far apart.

    Over the 2B rows of [a; b] with dot products, p_r the partner's and n_rk the 2B - 2 others, m_r = max_k n_rk:
    R = mean_r [p_r - min(p_r, m_r)]_+ + mean_rk [max(p_r, m_r) - n_rk]_+. 0 where all rows are equal, and for B = 1.
    At least float32, autocast or not.
    """
    count = len(a)
    if count < 2:
        return (a * b).sum() * 0.0
    z = torch.cat([a, b])
    z = z.to(torch.promote_types(z.dtype, torch.float32))
    with torch.autocast(z.device.type, enabled=False):
        scores = z @ z.T
    row = torch.arange(2 * count, device=z.device)
    partner = (row + count) % (2 * count)
    positive = (z * z.index_select(0, partner)).sum(1)
    own = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, torch.stack([row, partner], 1), True)
    hardest = scores.masked_fill(own, -torch.inf).amax(1)
    gaps = (torch.maximum(positive, hardest)[:, None] - scores).masked_fill(own, 0.0)
    return F.relu(positive - hardest).mean() + gaps.sum() / (2 * count * (2 * count - 2))


class MCLRec(SequenceRecommender):
    r"""Two views of a history, h1 and h2 their vectors, z1 = w1(h1) and z2 = w2(h2) by learnt augmenters.

    C2 = con(h1, z2) + con(h2, z1) + con(z1, z2), R the same three terms of :func:`separation`. The encoder minimises
    next + weight con(h1, h2) + meta (C2 + gamma R), through the augmenters as they stand; the augmenters minimise
    C2 + gamma R on vectors without gradient. con is NT-Xent with dot products, h as long as it is, z of length 1.

    ``turns``, on every batch and the same two views: ``three`` encoder, augmenters, encoder (the authors' code);
    ``two`` encoder, augmenters (the paper's algorithm); ``joint`` one step of everything on the encoder's loss (the
    paper's MCLRec-J). Here masked items are a token that attention sees; the code hides them from it. Qin et al.
    (SIGIR 2023).

    Args:
        data: what to learn from; its interactions must be ordered.
        dim: width.
        layers: number of blocks.
        heads: of attention.
        inner: width inside the feed-forward nets.
        dropout: of input, attention and blocks.
        max_length: items of a history that are read, the latest.
        modalities: names of those whose features are added to the items.
        targets: ``prefix`` (the paper), ``all``, ``windows`` or ``last``.
        loss: of the next item, see :class:`gcl.recommenders.sequential.next_item.NextItem`.
        negatives: of the losses that draw them.
        views: entries of which every sequence gets two; a single one is drawn twice.
        objective: of kind pair, the contrast con.
        weight: λ, of the contrast of the hand-made views.
        meta: β, of the contrast with learnt views.
        gamma: of R beside C2.
        turns: who steps when.
    """

    reference = "Qin et al., SIGIR 2023"
    objective_kinds = ("pair",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        heads: int = 2,
        inner: int = 256,
        dropout: float = 0.5,
        max_length: int = 50,
        modalities: tuple[str, ...] = (),
        targets: Targets = "prefix",
        loss: Loss = "softmax",
        negatives: int = 256,
        views: Views = (Crop(0.5), Mask(0.5), Reorder(0.8)),
        objective: Objective = NTXent(temperature=1.0, similarity="dot"),
        weight: float = 0.0,
        meta: float = 0.05,
        gamma: float = 0.1,
        turns: Turns = "three",
    ) -> None:
        encoder = TransformerEncoder(
            data.num_items, dim, max_length, layers=layers, heads=heads, inner=inner, dropout=dropout
        )
        super().__init__(data, encoder, NextItem(data, loss, negatives), targets, modalities)
        one_of("turns", turns, get_args(Turns))
        self.check(weight=weight, meta=meta, gamma=gamma)
        self.check_forgetful(objective)
        self.looks = SequenceLooks(views, data.train)
        self.objective = objective.build(data.num_users, dim)
        self.augmenters = nn.ModuleList([Augmenter(dim), Augmenter(dim)])
        self.weight, self.meta, self.gamma, self.turns = weight, meta, gamma, turns
        self._drawn: tuple[Batch, tuple[Looks, Looks]] | None = None

    def phases(self) -> list[Phase]:
        """Turns of the encoder and the augmenters, or one step of both."""
        if self.turns == "joint":
            return [Phase("main", list(self.parameters()), self.losses)]
        theirs = {id(p) for p in self.augmenters.parameters()}
        encoder = Phase("encoder", [p for p in self.parameters() if id(p) not in theirs], self.losses)
        augmenters = Phase("augmenters", list(self.augmenters.parameters()), self.augmenter_losses)
        return [encoder, augmenters, encoder] if self.turns == "three" else [encoder, augmenters]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``next``, ``contrast`` (where weighted), ``meta`` and ``separation``."""
        h1, h2 = self.vectors(batch)
        terms = {"next": self.predict(batch)}
        if self.weight:
            terms["contrast"] = self.weight * self.objective(h1, h2)
        return {**terms, **{name: self.meta * term for name, term in self.learnt(h1, h2).items()}}

    def augmenter_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``meta`` and ``separation`` of vectors without gradient."""
        with torch.no_grad():
            h1, h2 = self.vectors(batch)
        return self.learnt(h1, h2)

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """h1 and h2 [B, d]: views drawn once a batch, dropout at every call."""
        if self._drawn is None or self._drawn[0] is not batch:
            history, length, _ = sequences_of(batch)
            self._drawn = batch, self.looks(history, length, self.generator)
        h1, h2 = self.ends(*self._drawn[1])
        return h1, h2

    def learnt(self, h1: Tensor, h2: Tensor) -> dict[str, Tensor]:
        """C2 and gamma R."""
        z1, z2 = self.augmenters[0](h1), self.augmenters[1](h2)
        pairs = ((h1, z2), (h2, z1), (z1, z2))
        terms = {"meta": torch.stack([self.objective(a, b) for a, b in pairs]).sum()}
        if self.gamma:
            terms["separation"] = self.gamma * torch.stack([separation(a, b) for a, b in pairs]).sum()
        return terms
