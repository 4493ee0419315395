"""MambaRec: MGCN with refined modalities whose distributions are drawn together."""

from itertools import combinations

import torch
from torch import Tensor, nn

from gcl.data import Batch, Dataset
from gcl.encoders import DREAM, BehaviourFusion, Projection
from gcl.encoders.modality import missing_rows_left_out
from gcl.errors import InputError
from gcl.graph import look_up
from gcl.losses import BPR, MMD, InfoNCE, Objective
from gcl.losses.regularisation import ego_square
from gcl.recommenders.multimodal.base import Cold, Multimodal, Rows, bridge
from gcl.recommenders.multimodal.semantic import SemanticView, neighbour_graphs


class MambaRec(Multimodal):
    r"""Y = C + S as :class:`MGCN`, with :class:`gcl.encoders.DREAM` on every projected modality; no Mamba in it.

    r_m = DREAM_m(W_m f + b_m); x_m = dropout(LayerNorm(r_m)), the norm shared by all modalities; S_m and S as in MGCN.
    Loss = BPR on Y + weight * (objective(S_u, C_u) + objective(S_i, C_i)) + alignment_weight * mean over pairs of
    modalities of alignment(r_m, r_n), of the batch's items that have both, + reg * ½ (||Y_u||² + ||Y_i||² + ||Y_j||²)
    / B. Each id of the batch counts once in the contrast, where the authors count it as often as the batch has it. The
    authors let the learning rate fall by 0.96^(epoch / 50). One modality has no fusion and no alignment. Batch
    statistics of DREAM are over all items that have the modality, of which there must be two.
    MambaRec, Modality Alignment with Multi-scale Bilateral Attention (CIKM 2025).

    Args:
        data: what to learn from.
        dim: width of the tables.
        layers: propagation steps on the user-item graph.
        item_layers: steps on the item graphs.
        neighbours: k, the item itself among them.
        dream: False leaves DREAM out: r_m is the projection.
        dropout: on purifying features.
        reduce: factor by which features wider than ``wide`` are narrowed by a layer of their own.
        wide: columns beyond which features are narrowed.
        objective: of kind pair.
        weight: of the contrast.
        alignment: of kind sets.
        alignment_weight: its weight; the authors' 0.1 to 0.2, and 1 to 2 for σ.
        negatives: sampled negatives a positive.
        finetune: train the features, too, as the authors do.
        cold: see :class:`Multimodal`.
        reg: weight of the penalty on final rows.
    """

    reference = "MambaRec, CIKM 2025"
    objective_kinds = ("pair",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 4,
        item_layers: int = 1,
        neighbours: int = 10,
        dream: bool = True,
        dropout: float = 0.2,
        reduce: int = 8,
        wide: int = 1024,
        objective: Objective = InfoNCE(temperature=0.2),
        weight: float = 0.01,
        alignment: Objective = MMD(sigma=1.0, unit=True),
        alignment_weight: float = 0.1,
        negatives: int = 1,
        finetune: bool = True,
        cold: Cold = "modalities",
        reg: float = 1e-4,
    ) -> None:
        super().__init__(data, cold)
        self.check(weight=weight, alignment_weight=alignment_weight, reg=reg, item_layers=item_layers)
        if not 0 <= dropout < 1:
            raise InputError(f"dropout of MambaRec must lie in [0, 1), got {dropout}.")
        if reduce < 1 or wide < 0:
            raise InputError(f"reduce of MambaRec must be at least 1 and wide at least 0, got {reduce} and {wide}.")
        if alignment.kind != "sets":
            raise InputError(f"alignment of MambaRec must be of kind sets, got {type(alignment).__name__}.")
        for name, modality in data.modalities.items():
            if dream and int(modality.present.sum()) == 1:
                raise InputError(f"{name!r} is known of one item only; MambaRec needs two, or leave it out.")
        self.sampling = self.ranked_pairs(negatives)
        self.encoder = self.graph_encoder(data, dim, layers)
        widths = [data.modalities[name].dim for name in self.names]
        self.projections = nn.ModuleList(
            Projection(data.modalities[name], dim, finetune=finetune, reduce=reduce if width > wide else 1)
            for name, width in zip(self.names, widths, strict=True)
        )
        self.refine = nn.ModuleList(DREAM(dim) if dream else nn.Identity() for _ in self.names)
        self.norm, self.dropout = nn.LayerNorm(dim), nn.Dropout(dropout)
        graphs = neighbour_graphs(data, neighbours)
        self.views = nn.ModuleList(SemanticView(graph, dim, item_layers) for graph in graphs)
        self.bridge = bridge(data)
        self.fusion = BehaviourFusion(dim, len(self.names))
        self.user_objective = objective.build(data.num_users, dim)
        self.item_objective = objective.build(data.num_items, dim)
        self.alignment = alignment.build(data.num_items, dim)
        self.rank = BPR()
        self.weight, self.alignment_weight, self.reg = weight, alignment_weight, reg

    def refined(self) -> list[Tensor]:
        """r_m of every modality, [I, d], 0 for items that lack it."""
        return [
            missing_rows_left_out(block, part(), part.features.present)
            for block, part in zip(self.refine, self.projected, strict=True)
        ]

    def sides(self, refined: list[Tensor], at: Rows | None = None) -> tuple[Tensor, Tensor]:
        """C and S, [U + I, d] each; some of their rows, [n, d]."""
        behaviour = self.encoder.read(self.encoder())
        q = self.encoder.split(self.encoder.table)[1]
        views = [
            view(q, self.dropout(self.norm(rows)), part.features.has(), self.bridge)
            for view, rows, part in zip(self.views, refined, self.projected, strict=True)
        ]
        if at is not None:
            behaviour, views = at.take(behaviour), [at.take(view) for view in views]
        return behaviour, self.fusion(views, behaviour)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank``, ``contrast``, ``alignment`` and ``reg``."""
        at, refined = Rows.of(batch, self.num_users), self.refined()
        behaviour, side = self.sides(refined, at)
        rank, rows = at.rank(self.rank, behaviour + side)
        terms = {"rank": rank, "reg": self.reg * ego_square(*rows)}
        if self.weight:
            objectives = self.user_objective, self.item_objective
            terms["contrast"] = self.weight * at.contrast(objectives, side, behaviour)
        if self.alignment_weight and len(refined) > 1:
            terms["alignment"] = self.alignment_weight * self.apart(refined, batch.items)
        return terms

    def apart(self, refined: list[Tensor], items: Tensor) -> Tensor:
        """The mean discrepancy of pairs of modalities."""
        terms = []
        for first, second in combinations(range(len(refined)), 2):
            both = self.projected[first].features.present & self.projected[second].features.present
            rows = items[both.index_select(0, items)]
            x, y = (look_up(refined[m], rows) for m in (first, second))
            terms.append(self.alignment(x, y) if len(rows) > 1 else (x.sum() + y.sum()) * 0)
        return torch.stack(terms).mean()

    def tables(self) -> tuple[Tensor, Tensor]:
        """Y of users and of items."""
        behaviour, side = self.sides(self.refined())
        return self.encoder.split(behaviour + side)
