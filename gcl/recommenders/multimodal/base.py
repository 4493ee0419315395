"""What multimodal recommenders share: modalities by name, cold items, a modality that is taken away."""

import logging
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor, nn

from gcl.data import Batch, Dataset, Pairs
from gcl.encoders import LightGCNEncoder, Projection
from gcl.errors import InputError, nearest
from gcl.graph import Adjacency, look_up
from gcl.losses import Objective
from gcl.recommenders.base import Recommender

log = logging.getLogger("gcl.recommenders")
Cold = Literal["modalities", "ids"]


class Multimodal(Recommender):
    """Base of recommenders with M >= 1 modalities of items, whatever they are called.

    **Missing.** An item that lacks a modality has a zero row after projection: it takes no part in graphs, fusion and
    losses of this modality, and is ranked by what else is known of it. :meth:`hide` takes a modality from all items of
    a trained model, as if it were missing at test.

    **Cold items** have no train row, and are never drawn as negatives (as MMRec, where most of these methods' codes
    live, has it). ``cold="modalities"``: their row of the id table is 0 and stays 0, so that modalities alone rank
    them. ``cold="ids"``: they keep the random row that they began with, as in the authors' codes.
    """

    needs = frozenset({"modalities"})

    def __init__(self, data: Dataset, cold: Cold) -> None:
        super().__init__(data)
        if cold not in ("modalities", "ids"):
            raise InputError(f"cold of {type(self).__name__} must be 'modalities' or 'ids', got {cold!r}.")
        self.names = tuple(data.modalities)
        warm = data.train.by_item.counts > 0
        self.all_warm = bool(warm.all())
        self.some_cold = cold == "modalities" and not self.all_warm
        self.register_buffer("warm", warm, persistent=False)
        if self.some_cold:
            log.info("%d items without train rows are ranked by their modalities", int((~warm).sum()))

    warm: Tensor
    projections: nn.ModuleList

    def project(
        self, data: Dataset, dim: int, *, finetune: bool = False, reduce: int = 1, xavier: bool = False
    ) -> nn.ModuleList:
        """A :class:`gcl.encoders.Projection` for each modality, in the order of ``names``."""
        return nn.ModuleList(
            Projection(data.modalities[n], dim, finetune=finetune, reduce=reduce, xavier=xavier) for n in self.names
        )

    @property
    def projected(self) -> list[Projection]:
        """The projections, one a modality."""
        return [p for p in self.projections if isinstance(p, Projection)]

    def ranked_pairs(self, negatives: int) -> Pairs:
        """The sampling of a ranking loss: negatives among warm items."""
        if negatives < 1:
            raise InputError(f"negatives must be at least 1 for a ranking loss, got {negatives}.")
        return Pairs(negatives, known=not self.all_warm)

    def without_cold(self, table: nn.Parameter, first: int = 0) -> None:
        """Set rows of cold items of a table (items from row ``first`` on) to 0, and keep them there."""
        if not self.some_cold:
            return
        keep = torch.ones(len(table), 1)
        keep[first : first + self.num_items] = self.warm.cpu()[:, None].float()
        with torch.no_grad():
            table.mul_(keep.to(table.device))
        table.register_hook(lambda gradient: gradient * keep.to(gradient.device))

    def graph_encoder(self, data: Dataset, dim: int, layers: int) -> LightGCNEncoder:
        """LightGCN's encoder (mean of layers) whose rows of cold items are 0."""
        encoder = LightGCNEncoder(data.train, dim, layers, "mean")
        self.without_cold(encoder.table, self.num_users)
        return encoder

    def hide(self, *names: str) -> None:
        """Take modalities from all items: what the model gives from now on does without them.

        Not part of the state dict: a model that is loaded again has them.

        Raises:
            InputError: a name that is no modality of the model (with the nearest).
        """
        for name in names:
            if name not in self.names:
                raise InputError(f"{type(self).__name__} has no modality {name!r}. {nearest(name, self.names)}")
            self.projected[self.names.index(name)].features.hide()


def bridge(data: Dataset) -> Adjacency:
    """R̂ = D_u^-1/2 R D_i^-1/2 of the train part, [U, I]: what items bring to their users."""
    train = data.train
    return Adjacency.from_edges(train.user, train.item, data.num_users, data.num_items).normalize("sym")


@dataclass(frozen=True)
class Rows:
    """The rows of node tables [U + I, d] that a batch reads, each once, and where its users and items stand in them.

    ``nodes`` [n] ascending; ``users``, ``items`` [B] and ``negatives`` [B, m] are positions in it. What is computed a
    row by itself (fusion, noise, scores) is computed for these n rows in place of U + I: equal, and cheaper.
    """

    nodes: Tensor
    users: Tensor
    items: Tensor
    negatives: Tensor
    first_item: int

    @classmethod
    def of(cls, batch: Batch, num_users: int) -> Self:
        """The rows of a batch."""
        assert batch.negatives is not None, "the model's sampling declares negatives"
        both = torch.cat([batch.items[:, None], batch.negatives], 1) + num_users
        nodes, place = torch.unique(torch.cat([batch.users[:, None], both], 1), return_inverse=True)
        return cls(nodes, place[:, 0], place[:, 1], place[:, 2:], num_users)

    def take(self, table: Tensor) -> Tensor:
        """These rows of a table, [n, d]."""
        return look_up(table, self.nodes)

    def rank(self, objective: Objective, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """:func:`ranking` of rows y [n, d]."""
        return ranking(objective, y, y, Batch(self.users, self.items, self.negatives))

    def contrast(self, objectives: tuple[Objective, Objective], z1: Tensor, z2: Tensor) -> Tensor:
        """The users' objective between rows z1 and z2 [n, d] of the batch's users, plus the items' of its items.

        Each id once, negatives left out.
        """
        parts = []
        for objective, places, first in zip(objectives, (self.users, self.items), (0, self.first_item), strict=True):
            unique = torch.unique(places)
            ids = self.nodes.index_select(0, unique) - first
            parts.append(objective(look_up(z1, unique), look_up(z2, unique), ids))
        return parts[0] + parts[1]


def ranking(
    objective: Objective, users: Tensor, items: Tensor, batch: Batch, user_rows: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """objective(<z_u, z_i>, <z_u, z_j>) of a batch, and its rows z_u [B, d], z_i [B, d], z_j [B, m, d].

    ``users`` [U, d], ``items`` [I, d] are tables; ``user_rows`` are given where they are looked up already.
    """
    assert batch.negatives is not None, "the model's sampling declares negatives"
    user = look_up(users, batch.users) if user_rows is None else user_rows
    positive, negative = look_up(items, batch.items), look_up(items, batch.negatives)
    value = objective(torch.linalg.vecdot(user, positive), torch.linalg.vecdot(negative, user[:, None]))
    return value, [user, positive, negative]
