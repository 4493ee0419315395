"""DuoRec: a history, its other dropout, and another history that ends in the same item."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from gcl.data import Batch, Dataset, Sequences
from gcl.data.interactions import CSR
from gcl.data.sequences import SequenceRows, windows
from gcl.encoders import TransformerEncoder
from gcl.errors import one_of
from gcl.losses import NTXent, Objective
from gcl.recommenders.sequential.base import SequenceRecommender, Targets, sequences_of
from gcl.recommenders.sequential.next_item import Loss, NextItem
from gcl.views.sequence import Looks, draw

Mode = Literal["dropout", "target", "both", "across"]


class SameTarget(nn.Module):
    """Another training prefix with the same next item, drawn uniformly; where there is one only, that one.

    A user has one prefix at most before an item, so user and target name the row that is not drawn.
    """

    flat: Tensor
    last: Tensor
    length: Tensor
    indptr: Tensor
    rows: Tensor
    owners: Tensor

    def __init__(self, data: Dataset, max_length: int) -> None:
        super().__init__()
        history = data.train.history
        prefixes = SequenceRows(history, Sequences("prefix", max_length))
        by_target = CSR.from_pairs(
            history.indices[prefixes.last + 1], torch.arange(len(prefixes), device=prefixes.last.device), data.num_items
        )
        held = {"flat": history.indices, "last": prefixes.last, "length": prefixes.length, "rows": by_target.indices}
        target = torch.repeat_interleave(torch.arange(data.num_items, device=prefixes.user.device), by_target.counts)
        self.num_users = data.num_users
        held["owners"] = target * data.num_users + prefixes.user[by_target.indices]
        for name, tensor in {**held, "indptr": by_target.indptr}.items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, users: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Looks:
        """Histories [B, T] and their length, each followed in train by the target of its row; of other users."""
        first, others = self.indptr[targets], self.indptr[targets + 1] - self.indptr[targets] - 1
        drawn = (draw(targets.shape, targets.device, generator) * others).long().clamp_max((others - 1).clamp_min(0))
        own = torch.searchsorted(self.owners, targets * self.num_users + users) - first
        row = self.rows[first + drawn + ((drawn >= own) & (others > 0))]
        length = self.length[row]
        return windows(CSR(self.indptr, self.flat), self.last[row], length, int(length.max())), length


class DuoRec(SequenceRecommender):
    """Next-item loss + weight * objective of vectors of the batch's histories h under dropout.

    h is the vector that predicts. ``dropout``: (h, h'), h' the same history under other dropout. ``target``: (h, s), s
    another history with the same next item. ``both``: their sum. ``across``: (h', s), the paper's final form. Histories
    with the same target are each other's negatives, as in the authors' code, unless ``distinct``. Qiu et al. (WSDM
    2022).

    Args:
        data: what to learn from; its interactions must be ordered.
        dim: width.
        layers: number of blocks.
        heads: of attention.
        inner: width inside the feed-forward nets.
        dropout: of input, attention and blocks.
        max_length: items of a history that are read, the latest.
        modalities: names of those whose features are added to the items.
        targets: ``prefix`` (the paper), ``all``, ``windows`` or ``last``; histories of ``all`` are contrasted whole.
        loss: of the next item, see :class:`gcl.recommenders.sequential.next_item.NextItem`.
        negatives: of the losses that draw them.
        mode: what is contrasted.
        distinct: histories with the same target are not negatives.
        objective: of kind pair.
        weight: of the contrast.
    """

    reference = "Qiu et al., WSDM 2022"
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
        mode: Mode = "across",
        distinct: bool = False,
        objective: Objective = NTXent(temperature=1.0, similarity="dot"),
        weight: float = 0.1,
    ) -> None:
        encoder = TransformerEncoder(
            data.num_items, dim, max_length, layers=layers, heads=heads, inner=inner, dropout=dropout
        )
        super().__init__(data, encoder, NextItem(data, loss, negatives), targets, modalities)
        one_of("mode", mode, get_args(Mode))
        self.check(weight=weight)
        if mode == "both":
            self.check_forgetful(objective)
        self.same = SameTarget(data, max_length)
        self.objective, self.weight = objective.build(data.num_items, dim), weight
        self.mode, self.distinct = mode, distinct

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``next`` and ``contrast``."""
        states, vectors = self.encode(batch)
        return {"next": self.loss_of(states, batch), "contrast": self.weight * self.contrast(vectors, batch)}

    def contrast(self, vectors: Tensor, batch: Batch) -> Tensor:
        """The objective between looks at the batch's histories, ``vectors`` [B, d] being the first."""
        history, length, _ = sequences_of(batch)
        ids, again = batch.items if self.distinct else None, (history, length)
        if self.mode == "dropout":
            return self.objective(vectors, *self.ends(again), ids)
        same = self.same(batch.users, batch.items, self.generator)
        if self.mode == "target":
            return self.objective(vectors, *self.ends(same), ids)
        other, semantic = self.ends(again, same)
        if self.mode == "across":
            return self.objective(other, semantic, ids)
        return self.objective(vectors, other, ids) + self.objective(vectors, semantic, ids)
