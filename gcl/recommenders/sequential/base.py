"""What sequential recommenders share: a history is encoded, and the item nearest to its vector is next."""

import logging
from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from gcl.data import Batch, Dataset, Query, Sequences
from gcl.encoders import SequenceEncoder
from gcl.errors import InputError, nearest, one_of
from gcl.recommenders.base import Recommender
from gcl.recommenders.sequential.next_item import NextItem
from gcl.views.sequence import Looks

log = logging.getLogger("gcl.recommenders")
Targets = Literal["all", "windows", "last", "prefix"]


class SequenceRecommender(Recommender):
    """Base: <h, E_i> scores item i after a history of vector h, E the vectors that the encoder reads.

    E is a table, to which ``modalities`` of items add their projected features; what is named must be in the data set.

    Only the latest ``max_length`` items of a history are read. An empty history scores 0 everywhere. Items never in
    train keep near their initial rows and may be asked for, and about, all the same. Equal times keep the order of
    rows. Users with a single train item are in no batch, and are answered. Parts drawn at random are taken with a
    warning: histories then hold what came after a target.
    """

    needs = frozenset({"time"})
    answers: ClassVar[frozenset[Literal["users", "histories"]]] = frozenset({"users", "histories"})

    def __init__(
        self,
        data: Dataset,
        encoder: SequenceEncoder,
        next_item: NextItem,
        targets: Targets,
        modalities: Sequence[str] = (),
    ) -> None:
        super().__init__(data)
        one_of("targets", targets, get_args(Targets))
        made = data.split.made
        if "seed" in made and made["kind"] in ("ratio", "given") and not made.get("refit"):
            log.warning(
                "the parts of %r are drawn at random: histories hold what came after a target; "
                "data.split=leave_one_out, or data.order=time with ratios, keeps the order of time",
                data.name,
            )
        for name in modalities:
            if name not in data.modalities:
                there = nearest(name, data.modalities) if data.modalities else "The data set has none."
                raise InputError(f"{type(self).__name__} cannot read modality {name!r} of {data.name!r}. {there}")
        if len(set(modalities)) < len(modalities):
            raise InputError(f"modalities of {type(self).__name__} must be named once each, got {list(modalities)}.")
        encoder.describe([data.modalities[name] for name in modalities])
        self.encoder, self.next_item = encoder, next_item
        self.sampling = Sequences(targets, encoder.max_length)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The term ``next``."""
        return {"next": self.predict(batch)}

    def predict(self, batch: Batch) -> Tensor:
        """Loss of the next items of a batch, the mean over positions that have one."""
        return self.loss_of(self.encode(batch)[0], batch)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The states after a batch's items [n, d], and the vectors [B, d] of its histories, in one pass.

        Where a history has one target, its vector is the only state.
        """
        history, length, targets = sequences_of(batch)
        if targets.dim() == 1:
            vectors = self.encoder.last(history, length)
            return vectors, vectors
        states = self.encoder.states(history, length)
        return states, states.index_select(0, length.cumsum(0) - 1)

    def loss_of(self, states: Tensor, batch: Batch) -> Tensor:
        """Loss of the next items of a batch after the states of :meth:`encode`."""
        _, length, targets = sequences_of(batch)
        users = batch.users
        if targets.dim() == 2:
            inside = torch.arange(targets.shape[1], device=targets.device) < length[:, None]
            users, targets = users.repeat_interleave(length), targets[inside]
            rows = (targets >= 0).nonzero().flatten()
            if len(rows) < len(targets):
                states, users, targets = (x.index_select(0, rows) for x in (states, users, targets))
        return self.next_item(states, self.encoder, targets, users, self.generator)

    def ends(self, *looks: Looks) -> list[Tensor]:
        """Vectors of several looks at the same B histories, [B, d] each, in one pass of the encoder."""
        return list(self.encoder.last(*side_by_side(*looks)).chunk(len(looks)))

    def queries(self, query: Query) -> Tensor:
        """Vectors of histories, [B, d]."""
        if query.history is None or query.length is None:
            raise InputError(
                f"{type(self).__name__} reads histories, and the query has users alone; gcl.data.query adds theirs."
            )
        if query.history.numel() and not 0 <= int(query.history.min()) <= int(query.history.max()) < self.num_items:
            raise InputError(f"items of a history must lie in [0, {self.num_items}).")
        width = query.history.shape[1]
        if query.length.numel() and not 0 <= int(query.length.min()) <= int(query.length.max()) <= width:
            raise InputError(
                f"length of a history must lie in [0, {width}], its width, got "
                f"{int(query.length.min())} .. {int(query.length.max())}."
            )
        return self.encoder.last(query.history, query.length)

    def items(self) -> Tensor:
        """The vectors of the catalogue, [num_items, d]."""
        return self.kept("items", self.encoder.items)


def side_by_side(*looks: Looks) -> Looks:
    """Looks as one: items padded to one width, [looks * B, T], and their lengths."""
    width = max(items.shape[1] for items, _ in looks)
    items = torch.cat([F.pad(items, (0, width - items.shape[1])) for items, _ in looks])
    return items, torch.cat([length for _, length in looks])


def sequences_of(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """History [B, T], length [B] and targets of a batch of sequences."""
    assert batch.history is not None and batch.length is not None and batch.targets is not None
    return batch.history, batch.length, batch.targets
