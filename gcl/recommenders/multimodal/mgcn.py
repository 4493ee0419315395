"""MGCN: modalities purified by behaviour, smoothed over item graphs, fused as behaviour asks."""

from torch import Tensor, nn

from gcl.data import Batch, Dataset
from gcl.encoders import BehaviourFusion
from gcl.losses import BPR, InfoNCE, Objective
from gcl.losses.regularisation import ego_square
from gcl.recommenders.multimodal.base import Cold, Multimodal, Rows, bridge
from gcl.recommenders.multimodal.semantic import SemanticView, neighbour_graphs


class MGCN(Multimodal):
    r"""Y = C + S: C from LightGCN (mean of layers), S the modalities' side.

    x_m = W_m f + b_m; S_m = :class:`SemanticView` of q and x_m over the k nearest items; S = :class:`BehaviourFusion`
    of all S_m, gated by C. Loss = BPR on Y + weight * (objective(S_u, C_u) + objective(S_i, C_i)) + reg * ½ (||Y_u||² +
    ||Y_i||² + ||Y_j||²) / B; each id of the batch counts once in the contrast, where the authors count it as often as
    the batch has it. All items are projected each step, as the graphs read
    them all; only rows of the batch are fused. With one modality S is S_m. The
    authors let the learning rate fall by 0.96^(epoch / 50). Yu et al., MGCN (MM 2023).

    Args:
        data: what to learn from.
        dim: width of the tables.
        layers: propagation steps on the user-item graph.
        item_layers: steps on the item graphs.
        neighbours: k, the item itself among them.
        objective: of kind pair.
        weight: of the contrast.
        negatives: sampled negatives a positive.
        finetune: train the features, too, as the authors do.
        cold: see :class:`Multimodal`.
        reg: weight of the penalty on final rows.
    """

    reference = "Yu et al., MM 2023"
    objective_kinds = ("pair",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        item_layers: int = 1,
        neighbours: int = 10,
        objective: Objective = InfoNCE(temperature=0.2),
        weight: float = 0.01,
        negatives: int = 1,
        finetune: bool = True,
        cold: Cold = "modalities",
        reg: float = 1e-4,
    ) -> None:
        super().__init__(data, cold)
        self.check(weight=weight, reg=reg, item_layers=item_layers)
        self.sampling = self.ranked_pairs(negatives)
        self.encoder = self.graph_encoder(data, dim, layers)
        self.projections = self.project(data, dim, finetune=finetune)
        graphs = neighbour_graphs(data, neighbours)
        self.views = nn.ModuleList(SemanticView(graph, dim, item_layers) for graph in graphs)
        self.bridge = bridge(data)
        self.fusion = BehaviourFusion(dim, len(self.names))
        self.user_objective = objective.build(data.num_users, dim)
        self.item_objective = objective.build(data.num_items, dim)
        self.rank = BPR()
        self.weight, self.reg = weight, reg

    def sides(self, at: Rows | None = None) -> tuple[Tensor, Tensor]:
        """C and S, [U + I, d] each; some of their rows, [n, d]."""
        behaviour = self.encoder.read(self.encoder())
        q = self.encoder.split(self.encoder.table)[1]
        views = [
            view(q, projection(), projection.features.has(), self.bridge)
            for view, projection in zip(self.views, self.projected, strict=True)
        ]
        if at is not None:
            behaviour, views = at.take(behaviour), [at.take(view) for view in views]
        return behaviour, self.fusion(views, behaviour)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank``, ``contrast`` and ``reg``."""
        at = Rows.of(batch, self.num_users)
        behaviour, side = self.sides(at)
        rank, rows = at.rank(self.rank, behaviour + side)
        terms = {"rank": rank, "reg": self.reg * ego_square(*rows)}
        if self.weight:
            objectives = self.user_objective, self.item_objective
            terms["contrast"] = self.weight * at.contrast(objectives, side, behaviour)
        return terms

    def tables(self) -> tuple[Tensor, Tensor]:
        """Y of users and of items."""
        behaviour, side = self.sides()
        return self.encoder.split(behaviour + side)
