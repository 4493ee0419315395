"""HCCF: a hypergraph beside the graph in every layer, taught to agree with it."""

import torch
from torch import Tensor

from gcl.data import Batch, Dataset
from gcl.encoders import LightGCNEncoder
from gcl.errors import InputError
from gcl.losses import BPR, InfoNCE, Objective
from gcl.losses.regularisation import all_parameters_square
from gcl.recommenders.base import Recommender
from gcl.recommenders.general.contrastive import contrast, say_candidates
from gcl.recommenders.general.ranking import ranked_pairs, ranking_terms
from gcl.views import Hypergraph, RandomWalk, chain


class HCCF(Recommender):
    r"""Layer k: M = drop(Â) E(k - 1), G = σ(H σ(H^T E(k - 1))), E(k) = M + G; E = Σ_k E(k).

    H = drop(scale E(0) W), users and items apart; σ is LeakyReLU, by default the identity.
    Loss = BPR on E + weight * Σ_k [objective(sg(M_u), G_u) + objective(sg(M_i), G_i)] + decay * (||E(0)||² + ||W||²),
    candidates all users and all items of G. The local side is detached: only the hypergraph learns from the contrast.
    A mask a layer for edges (kept values scaled) and for H; none when scoring.
    Xia et al., Hypergraph Contrastive Collaborative Filtering (SIGIR 2022), the authors' linear torch form.

    Args:
        data: what to learn from.
        dim: width of the table.
        layers: number of layers, at least 1.
        hyperedges: columns of H, a side.
        scale: factor of H, the authors' mult; below 1 where G drowns M, see :class:`gcl.views.Hypergraph`.
        slope: of σ, LeakyReLU, below 0; 1 is linear.
        p: probability that an edge, or an entry of H, is dropped in training.
        objective: of kind pair; the detached M is the anchor.
        weight: of the contrast.
        negatives: sampled negatives a positive of the ranking loss.
        decay: weight of the penalty on whole parameters.
    """

    reference = "Xia et al., SIGIR 2022"
    objective_kinds = ("pair",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        hyperedges: int = 128,
        scale: float = 1.0,
        slope: float = 1.0,
        p: float = 0.5,
        objective: Objective = InfoNCE(temperature=0.1),
        weight: float = 0.2,
        negatives: int = 1,
        decay: float = 1e-6,
    ) -> None:
        super().__init__(data)
        if layers < 1:
            raise InputError(f"layers of HCCF must be at least 1: every layer is a contrast; got {layers}.")
        self.check(weight=weight, decay=decay)
        self.check_forgetful(objective)
        self.sampling = ranked_pairs(negatives)
        self.encoder = LightGCNEncoder(data.train, dim, layers, "sum")
        self.drop, self.hypergraph = RandomWalk(p, renormalize=False), Hypergraph(hyperedges, p, scale, slope)
        self.hypergraph.allocate(self.encoder.adj, dim, self.encoder.sides)
        say_candidates(objective)
        self.user_objective = objective.build(data.num_users, dim)
        self.item_objective = objective.build(data.num_items, dim)
        self.rank = BPR()
        self.p, self.weight, self.decay = p, weight, decay

    def layers(self) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
        """E(0) .. E(L), and M and G of every layer."""
        local = chain([self.drop] if self.training and self.p else [], self.encoder.adj, self.generator)
        across = self.hypergraph.steps(self.encoder.adj, self.generator)
        entered, looks = list[Tensor]([self.encoder.table]), list[tuple[Tensor, Tensor]]()
        for k in range(1, self.encoder.num_layers + 1):
            looks.append((local(entered[-1], k), across(entered[-1], k)))
            entered.append(looks[-1][0] + looks[-1][1])
        return entered, looks

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank``, ``contrast`` and ``reg``."""
        entered, looks = self.layers()
        terms = ranking_terms(self.encoder, self.encoder.read(entered), batch, self.rank, 0.0)
        terms["reg"] = self.decay * all_parameters_square([self.encoder.table, *self.hypergraph.parameters()])
        between = []
        for local, across in looks:
            (mu, mi), (gu, gi) = self.encoder.split(local.detach()), self.encoder.split(across)
            between.append(contrast(self.user_objective, mu, gu, batch.users, whole=True))
            between.append(contrast(self.item_objective, mi, gi, batch.items, whole=True))
        return {**terms, "contrast": self.weight * torch.stack(between).sum()}

    def tables(self) -> tuple[Tensor, Tensor]:
        """Representations of users and of items; without dropout in eval mode."""
        return self.encoder.split(self.encoder.read(self.layers()[0]))
