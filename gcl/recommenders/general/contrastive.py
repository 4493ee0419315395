"""Contrastive: LightGCN, two views of its graph and an objective between them, each free to choose."""

import logging
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from gcl.data import Batch, Dataset
from gcl.encoders import LightGCNEncoder, Readout
from gcl.errors import one_of
from gcl.graph import look_up
from gcl.losses import BPR, InfoNCE, Objective
from gcl.recommenders.base import Phase, Recommender
from gcl.recommenders.general.ranking import ranked_pairs, ranking_terms
from gcl.views import GraphView, Noise, Views, allocate, two_views, view_terms

log = logging.getLogger("gcl.recommenders")
Candidates = Literal["batch", "all"]


def contrast(objective: Objective, first: Tensor, second: Tensor, ids: Tensor, whole: bool = False) -> Tensor:
    """A pair objective between two views of the rows ``ids`` [B] of tables [n, d], each id counted once.

    ``whole``: all other rows of the second table are negatives too, at O(B n d) in place of O(B² d), where the
    objective has a place for them.
    """
    unique = torch.unique(ids)
    z1, z2 = look_up(first, unique), look_up(second, unique)
    if whole and objective.extra:
        rest = torch.ones(second.shape[0], dtype=torch.bool, device=ids.device).index_fill_(0, unique, False)
        others = rest.nonzero()[:, 0]
        z2, unique = torch.cat([z2, look_up(second, others)]), torch.cat([unique, others])
    return objective(z1, z2, unique)


def say_candidates(objective: Objective) -> None:
    """Log, once for a model that contrasts with whole tables, that its objective stays within the batch."""
    if not objective.extra:
        log.info("%s has no place for further negatives: it contrasts within the batch", type(objective).__name__)


def contrast_batch(
    encoder: LightGCNEncoder, objectives: tuple[Objective, Objective], first: Tensor, second: Tensor, batch: Batch
) -> Tensor:
    """Objective of users plus objective of items between two tables [U + I, d], each id of the batch once."""
    users, items = torch.unique(batch.users), torch.unique(batch.items)
    (u1, i1), (u2, i2) = encoder.rows(first, users, items), encoder.rows(second, users, items)
    return objectives[0](u1, u2, users) + objectives[1](i1, i2, items)


def generator_terms(
    views: nn.Module, encoder: LightGCNEncoder, batch: Batch, generator: torch.Generator | None
) -> dict[str, Tensor]:
    """What views with losses of their own learn from: the batch's interactions and its negatives."""
    assert batch.negatives is not None, "the model's sampling declares negatives"
    nodes = (batch.users, batch.items + encoder.sides[0], batch.negatives + encoder.sides[0])
    return view_terms(views, encoder.adj, encoder.table, nodes, generator)


def adversarial_phases(
    model: Recommender, adverse: list[nn.Parameter], contrast: Callable[[Batch], Tensor]
) -> list[Phase]:
    """One phase; with parameters of adversarial views, a phase before it in which they maximise the contrast.

    The alternating scheme of AD-GCL (Suresh et al., NeurIPS 2021): each step moves one side alone.
    """
    if not adverse:
        return [Phase("main", list(model.parameters()), model.losses)]
    theirs = {id(p) for p in adverse}
    rest = [p for p in model.parameters() if id(p) not in theirs]
    views = Phase("views", adverse, lambda batch: {"contrast": -contrast(batch)})
    return [views, Phase("main", rest, model.losses)]


class Contrastive(Recommender):
    """LightGCN's ranking loss on the clean graph, and a pair objective between two views of it.

    Loss = BPR + weight * (objective(users' two views) + objective(items' two views)) + reg * ½ (||E0_u||² + ||E0_i||²
    + ||E0_j||²) / B. Users and items are contrasted apart, each id of the batch once. SGL and SimGCL are this class
    with other defaults. Views that learn are trained with it, adversarial ones in a phase of their own; views with
    losses of their own (EdgeVAE, EdgeDenoiser) add these.

    Args:
        data: what to learn from.
        dim: width of the table.
        layers: number of propagation steps.
        readout: how the layers become one representation.
        views: two entries, or one that is drawn twice independently; an entry is a view or a chain of views.
        objective: of kind pair.
        weight: of the contrast.
        candidates: ``batch``, or ``all`` for all users and all items as negatives, where the objective has a place
            for them; where it has none, the batch.
        negatives: sampled negatives a positive of the ranking loss.
        reg: weight of the penalty on the table's rows.
    """

    reference = "encoder x view x objective"
    objective_kinds = ("pair",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 3,
        readout: Readout = "mean",
        views: Views = (Noise(0.1),),
        objective: Objective = InfoNCE(temperature=0.2),
        weight: float = 0.1,
        candidates: Candidates = "batch",
        negatives: int = 1,
        reg: float = 1e-4,
    ) -> None:
        super().__init__(data)
        self.check(weight=weight, reg=reg)
        one_of("candidates", candidates, get_args(Candidates))
        self.sampling = ranked_pairs(negatives)
        self.encoder = LightGCNEncoder(data.train, dim, layers, readout)
        self.views = two_views(views, GraphView)
        for entry in self.views:
            assert isinstance(entry, nn.ModuleList)
            self.encoder.check(entry)
        self.adverse = allocate(self.views, self.encoder.adj, dim, self.encoder.sides)
        self.user_objective = objective.build(data.num_users, dim)
        self.item_objective = objective.build(data.num_items, dim)
        self.rank = BPR()
        self.weight, self.reg, self.whole = weight, reg, candidates == "all" and objective.extra
        if candidates == "all":
            say_candidates(objective)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank``, ``contrast``, ``reg``, and those of views that have their own."""
        terms = ranking_terms(self.encoder, self.encoder.read(self.encoder()), batch, self.rank, self.reg)
        terms["contrast"] = self.weight * self.contrast(batch)
        return terms | generator_terms(self.views, self.encoder, batch, self.generator)

    def phases(self) -> list[Phase]:
        """One phase, and one before it for adversarial views."""
        return adversarial_phases(self, self.adverse, self.contrast)

    def contrast(self, batch: Batch) -> Tensor:
        """Objective between the views of the batch's users plus that of its items."""
        first, second = (self.encoder.read(self.encoder(v, self.generator)) for v in self.views)
        if not self.whole:
            return contrast_batch(self.encoder, (self.user_objective, self.item_objective), first, second, batch)
        (u1, i1), (u2, i2) = self.encoder.split(first), self.encoder.split(second)
        users = contrast(self.user_objective, u1, u2, batch.users, whole=True)
        return users + contrast(self.item_objective, i1, i2, batch.items, whole=True)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Representations of users and of items, on the clean graph."""
        return self.encoder.split(self.encoder.read(self.encoder()))
