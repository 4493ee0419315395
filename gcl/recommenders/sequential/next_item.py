"""Losses of the next item: full softmax, sampled softmax, binary cross-entropy and its generalisation."""

from typing import Literal, Protocol, get_args

import torch
from torch import Tensor, nn

from gcl.data import Dataset, TrainInteractions
from gcl.data.negatives import RankMap
from gcl.errors import one_of
from gcl.graph.ops import sddmm
from gcl.losses.functional.catalogue import mean_catalogue_softmax
from gcl.losses.functional.numerics import softplus
from gcl.losses.functional.sampled import sampled_softmax

Loss = Literal["softmax", "sampled", "bce", "gbce"]


class Catalogue(Protocol):
    """Where the vectors of items come from: an encoder."""

    def look_up(self, items: Tensor) -> Tensor:
        """Vectors of ``items``, any shape, [..., d]."""

    def items(self) -> Tensor:
        """Vectors of all, [I, d]."""


class NextItem(nn.Module):
    r"""Loss of targets y after states h [n, d], scores s = <h, E>; the mean over the n targets.

    ========= =========================================================================================================
    softmax   log Σ_i exp s_i - s_y over the whole catalogue, streamed: its logits are never stored
    sampled   the same over y and m items, logits s - log Q; Q ~ degree ** ``popularity``; copies of y among them are
              hidden (Bengio & Senécal, 2008). ``shared``: the whole batch has the same m, which is cheap and noisy:
              some thousands of them are worth a few hundred of each target's own
    bce       softplus(-s_y) + mean_j softplus(s_j), j m uniform items that the user has not in train (SASRec, 2018)
    gbce      (β softplus(-s_y) + Σ_j softplus(s_j)) / (m + 1), j uniform over all items, β = 1 - t (1 - m / (I - 1))
              (Petrov & Macdonald, gSASRec, RecSys 2023); t = 0 leaves β = 1, t = 1 is calibrated
    ========= =========================================================================================================

    Args:
        data: whose items they are.
        loss: which of them.
        negatives: m, not read by ``softmax``.
        popularity: exponent of Q, of ``sampled`` only.
        calibration: t of ``gbce``.
        shared: whether a batch shares its negatives, of ``sampled`` only; else every target has its own.
    """

    weight: Tensor

    def __init__(
        self,
        data: Dataset,
        loss: Loss,
        negatives: int = 256,
        popularity: float = 0.0,
        calibration: float = 0.75,
        shared: bool = True,
    ) -> None:
        super().__init__()
        one_of("loss", loss, get_args(Loss))
        if negatives < 1:
            raise ValueError(f"negatives must be at least 1, got {negatives}.")
        if popularity < 0:
            raise ValueError(f"popularity must not be negative, got {popularity}.")
        if popularity and loss != "sampled":
            raise ValueError(f"popularity is read by loss='sampled' alone, got {popularity} with loss={loss!r}.")
        if not 0 <= calibration <= 1:
            raise ValueError(f"calibration must lie in [0, 1], got {calibration}.")
        if not shared and loss != "sampled":
            raise ValueError(f"shared is read by loss='sampled' alone, got {shared} with loss={loss!r}.")
        self.loss, self.count, self.shared = loss, negatives, shared
        self.popularity, self.calibration = popularity, calibration
        weight = data.train.by_item.counts.float() ** popularity
        self.register_buffer("weight", weight / weight.sum(), persistent=False)
        self.train_rows: TrainInteractions = data.train
        self.ranks: RankMap | None = None

    def forward(
        self, states: Tensor, catalogue: Catalogue, targets: Tensor, users: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Mean loss of ``targets`` [n] after ``states`` [n, d] over the items of ``catalogue``; users [n].

        At least float32, autocast or not.
        """
        with torch.autocast(states.device.type, enabled=False):
            states = states.to(torch.promote_types(states.dtype, torch.float32))
            return self._mean(states, catalogue, targets, users, generator)

    def _mean(
        self, states: Tensor, catalogue: Catalogue, targets: Tensor, users: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        if self.loss == "softmax":
            return mean_catalogue_softmax(states, catalogue.items(), targets)
        generator = generator or torch.default_generator
        if self.loss == "sampled":
            sampled = self._sampled if self.shared else self._sampled_apart
            return sampled(states, catalogue, targets, generator).mean()
        drawn = self._drawn(targets, users, generator)
        scores = dot_products(states, catalogue.items(), torch.cat([targets[:, None], drawn], 1))
        positive, negative = scores[:, 0], scores[:, 1:]
        if self.loss == "bce":
            return (softplus(-positive) + softplus(negative).mean(1)).mean()
        share = self.count / max(1, len(self.weight) - 1)
        beta = 1 - self.calibration * (1 - min(1.0, share))
        return ((beta * softplus(-positive) + softplus(negative).sum(1)) / (self.count + 1)).mean()

    def _sampled(self, states: Tensor, catalogue: Catalogue, targets: Tensor, generator: torch.Generator) -> Tensor:
        weight = self.weight.to(generator.device)
        drawn = torch.multinomial(weight, self.count, replacement=True, generator=generator).to(targets.device)
        log_q = self.weight.log()
        rows, right = catalogue.look_up(torch.cat([targets, drawn])).split([len(targets), self.count])
        return sampled_softmax(
            (states * rows).sum(1), states, right, log_q[drawn], log_q[targets], targets, drawn, refined=False
        )

    def _sampled_apart(
        self, states: Tensor, catalogue: Catalogue, targets: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Every target has negatives of its own."""
        total, device = len(targets) * self.count, generator.device
        if self.popularity:
            drawn = torch.multinomial(self.weight.to(device), total, replacement=True, generator=generator)
        else:
            drawn = torch.randint(len(self.weight), (total,), generator=generator, device=device)
        drawn = drawn.view(len(targets), self.count).to(targets.device)
        columns = torch.cat([targets[:, None], drawn], 1)
        logits = dot_products(states, catalogue.items(), columns) - self.weight.log()[columns]
        hidden = nn.functional.pad(drawn == targets[:, None], (1, 0))
        return logits.masked_fill(hidden, -torch.inf).logsumexp(1) - logits[:, 0]

    def _drawn(self, targets: Tensor, users: Tensor, generator: torch.Generator) -> Tensor:
        """Negatives of every target, [n, m]."""
        if self.loss == "gbce":
            shape = (len(targets), self.count)
            drawn = torch.randint(len(self.weight), shape, generator=generator, device=generator.device)
            return drawn.to(targets.device)
        if self.ranks is None or self.ranks.keys.device != users.device:
            self.ranks = RankMap(self.train_rows.to(users.device))
        return self.ranks.draw(users, self.count, generator)


def dot_products(x: Tensor, y: Tensor, columns: Tensor) -> Tensor:
    """<x_i, y_c> for the m columns c of every row i, [n, d], [I, d], [n, m] -> [n, m]; no row of y is copied."""
    count, flat = columns.shape[1], columns.flatten()
    if count >= len(y):  # all products are no more
        return (x @ y.T).gather(1, columns)
    rows = torch.arange(0, flat.numel() + 1, count, dtype=torch.int32, device=x.device)
    order = torch.argsort(flat, stable=True)
    ends = torch.bincount(flat, minlength=len(y)).cumsum(0)
    transposed = nn.functional.pad(ends, (1, 0)).int(), (order // count).int(), order
    return torch.as_tensor(sddmm(rows, flat.int(), x, y, *transposed)).view_as(columns)
