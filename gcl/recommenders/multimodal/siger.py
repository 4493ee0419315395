"""SIGER: item graphs of modalities enriched with common users, noise by modulus, semantics anchored in behaviour."""

from typing import Literal

import torch
from torch import Tensor, nn

from gcl.data import Batch, Dataset
from gcl.encoders import AttentionFusion
from gcl.errors import InputError
from gcl.graph import cooccurrence_graph, look_up, mixed
from gcl.losses import BPR, GroupContrast, InfoNCE, Objective
from gcl.losses.regularisation import ego_square
from gcl.recommenders.multimodal.base import Cold, Multimodal, Rows, bridge
from gcl.recommenders.multimodal.semantic import SemanticView, neighbour_graphs
from gcl.views import ModulusNoise, Views, two_views


class SIGER(Multimodal):
    r"""Y = B + F: B from LightGCN (mean of layers), F = :class:`gcl.encoders.AttentionFusion` of all S_m.

    S_m = :class:`SemanticView` over K~_m = (1 - eta) K_m + eta P: K_m the k nearest items by features, P the closest
    items by common train users, each normalised before they are mixed and not again. Through P an item that lacks m is
    told of it by the items that share its users; with eta = 0 it has no S_m. Loss = BPR on Y +

        perturbation  noise_weight * Σ over B and F of [objective(x', x'') of users + of items], x' = x + noise
        anchor        anchor_weight * anchor(B_i; S_1i .. S_Mi), of the batch's items that have all modalities
        fusion        fusion_weight * (objective(B_u, F_u) + objective(B_i, F_i))
        reg           reg * ½ (||E0_u||² + ||E0_i||² + ||E0_j||²) / B

    each id of the batch once. In ``anchor`` all modalities share the denominator by default; ``AnchorStar`` gives each
    its own. Zhang et al., Semantic Item Graph Enhancement for Multimodal Recommendation (2025). The mix of graphs and
    the three losses are the paper's; their exact forms, the purifier and all weights are our reading of its abstract
    and of notes on it. No published figure is claimed for it.

    Args:
        data: what to learn from.
        dim: width of the tables.
        layers: propagation steps on the user-item graph.
        item_layers: steps on the item graphs.
        neighbours: k, the item itself among them.
        common: neighbours of an item by common users.
        common_weights: of P's edges: cosine of the items' users, or count, their number.
        eta: share of P; 0 leaves it out.
        purify: False: features themselves go over the item graphs, in place of ids gated by them.
        views: one entry, drawn twice, or two entries of :class:`gcl.views.ModulusNoise`.
        objective: of kind pair.
        noise_weight: of the perturbation.
        anchor: of kind multiview or tuple, the anchor first.
        anchor_weight: its weight.
        detach_anchor: whether B stands still in ``anchor``.
        fusion_weight: of the fusion.
        negatives: sampled negatives a positive.
        finetune: train the features, too.
        cold: see :class:`Multimodal`.
        reg: weight of the penalty on the table's rows.
    """

    reference = "Zhang et al., 2025"
    objective_kinds = ("pair",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        item_layers: int = 1,
        neighbours: int = 10,
        common: int = 10,
        common_weights: Literal["cosine", "count"] = "cosine",
        eta: float = 0.3,
        purify: bool = True,
        views: Views = (ModulusNoise(0.1),),
        objective: Objective = InfoNCE(temperature=0.2),
        noise_weight: float = 0.01,
        anchor: Objective = GroupContrast(temperature=0.2, positives="mean"),
        anchor_weight: float = 0.01,
        detach_anchor: bool = False,
        fusion_weight: float = 0.01,
        negatives: int = 1,
        finetune: bool = False,
        cold: Cold = "modalities",
        reg: float = 1e-4,
    ) -> None:
        super().__init__(data, cold)
        weights = {"noise_weight": noise_weight, "anchor_weight": anchor_weight, "fusion_weight": fusion_weight}
        self.check(**weights, reg=reg, item_layers=item_layers)
        self.check_forgetful(objective)
        if not 0 <= eta <= 1:
            raise InputError(f"eta of SIGER must lie in [0, 1], got {eta}.")
        if anchor.kind not in ("multiview", "tuple"):
            raise InputError(f"anchor of SIGER must be of kind multiview or tuple, got {type(anchor).__name__}.")
        self.sampling = self.ranked_pairs(negatives)
        self.encoder = self.graph_encoder(data, dim, layers)
        self.projections = self.project(data, dim, finetune=finetune, xavier=True)
        together = cooccurrence_graph(data.train, common, weights=common_weights).normalize("sym")
        self.semantic = nn.ModuleList(
            SemanticView(mixed([graph, together], [1 - eta, eta]), dim, item_layers, purify)
            for graph in neighbour_graphs(data, neighbours)
        )
        self.bridge = bridge(data)
        self.fusion = AttentionFusion(dim, len(self.names))
        self.views = two_views(views, ModulusNoise)
        self.user_objective = objective.build(data.num_users, dim)
        self.item_objective = objective.build(data.num_items, dim)
        self.anchor, self.detach_anchor = anchor.build(data.num_items, dim), detach_anchor
        self.rank = BPR()
        self.weights, self.reg = (noise_weight, anchor_weight, fusion_weight), reg

    def sides(self, at: Rows | None = None) -> tuple[Tensor, list[Tensor], Tensor]:
        """B, every S_m and F, [U + I, d] each; some of their rows, [n, d]."""
        behaviour = self.encoder.read(self.encoder())
        q = self.encoder.split(self.encoder.table)[1]
        semantics = [
            view(q, part(), part.features.has(), self.bridge)
            for view, part in zip(self.semantic, self.projected, strict=True)
        ]
        if at is not None:
            behaviour, semantics = at.take(behaviour), [at.take(x) for x in semantics]
        return behaviour, semantics, self.fusion(semantics)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank``, ``perturbation``, ``anchor``, ``fusion`` and ``reg``; those of weight 0 are left out."""
        assert batch.negatives is not None, "the model's sampling declares negatives"
        at = Rows.of(batch, self.num_users)
        behaviour, semantics, fused = self.sides(at)
        ego = self.encoder.rows(self.encoder.table, batch.users, batch.items, batch.negatives)
        rank, _ = at.rank(self.rank, behaviour + fused)
        terms = {"rank": rank, "reg": self.reg * ego_square(*ego)}
        objectives, (noise, anchor, fusion) = (self.user_objective, self.item_objective), self.weights
        if noise:
            looks = [self.perturbed(x) for x in (behaviour, fused)]
            terms["perturbation"] = noise * torch.stack([at.contrast(objectives, *pair) for pair in looks]).sum()
        if anchor:
            terms["anchor"] = anchor * self.anchored(behaviour, semantics, at)
        if fusion:
            terms["fusion"] = fusion * at.contrast(objectives, behaviour, fused)
        return terms

    def perturbed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x' and x''."""
        looks = [x, x]
        for at, chain in enumerate(self.views):
            assert isinstance(chain, nn.ModuleList)
            for view in chain:
                assert isinstance(view, ModulusNoise)
                looks[at] = looks[at] + view.draw(looks[at], self.generator)
        return looks[0], looks[1]

    def anchored(self, behaviour: Tensor, semantics: list[Tensor], at: Rows) -> Tensor:
        """The anchor's loss of unique items that have all modalities; rows are those of a batch."""
        places = torch.unique(at.items)
        ids = at.nodes.index_select(0, places) - self.num_users
        there = torch.stack([part.features.present.index_select(0, ids) for part in self.projected]).all(0)
        places, ids = places[there], ids[there]
        rows = [look_up(x, places) for x in (behaviour, *semantics)]
        if not len(ids):
            return torch.stack(rows).sum() * 0
        rows[0] = rows[0].detach() if self.detach_anchor else rows[0]
        value: Tensor = self.anchor(torch.stack(rows) if self.anchor.kind == "multiview" else tuple(rows), ids=ids)
        return value

    def tables(self) -> tuple[Tensor, Tensor]:
        """Y of users and of items, without noise."""
        behaviour, _, fused = self.sides()
        return self.encoder.split(behaviour + fused)
