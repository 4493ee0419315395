"""DCCF: a graph, intents and two adaptive masks side by side, the graph contrasted with each of the others."""

from typing import Literal, get_args

import torch
from torch import Tensor

from gcl.data import Batch, Dataset
from gcl.encoders import LightGCNEncoder
from gcl.errors import InputError, one_of
from gcl.graph import spmm
from gcl.losses import BPR, InfoNCE, Objective
from gcl.losses.regularisation import all_parameters_square
from gcl.recommenders.base import Recommender
from gcl.recommenders.general.contrastive import contrast
from gcl.recommenders.general.ranking import ranked_pairs, ranking_terms
from gcl.views import EdgeMask, Intents

Layout = Literal["authors", "sslrec"]


class DCCF(Recommender):
    r"""Layer l: Z = Â X, S = intents(X), G = mask(Z) X, Q = mask(S) X; X <- Z + S + G + Q + X; scores by Σ_l X_l.

    Loss = BPR + weight * Σ_l Σ_{V in S, G, Q} [objective(Z_u, V_u) + objective(Z_i, V_i)] + reg * ½ (||E0_u||² +
    ||E0_i||² + ||E0_j||²) / B + intent_reg * ||C||² + decay * (||E0||² + ||C||²) + independence * (mean squared cosine
    of different intents). C are the prototypes of users and of items; the masks are :class:`gcl.views.EdgeMask`, the
    intents :class:`gcl.views.Intents`. Nothing is detached, nothing is random.
    Ren et al., Disentangled Contrastive Collaborative Filtering (SIGIR 2023).

    The authors' own penalty 2.5e-5 Σ ||E0_b||² is a sum over the batch: reg = 5e-5 B. Their batches draw users alike
    and are 40 an epoch; ours are the train rows. Tables start Xavier-uniform, theirs normal of equal variance.

    Args:
        data: what to learn from.
        dim: width of the table.
        layers: number of layers, at least 1.
        intents: prototypes a side.
        objective: of kind pair; Z is the anchor.
        weight: of the sum of the 6 L contrasts.
        layout: ``authors``: unique users and unique positives, each a mean. ``sslrec``: negatives as well, and both
            divided by the number of unique users, as SSLRec has it.
        negatives: sampled negatives a positive of the ranking loss.
        reg: weight of the penalty on the table's rows.
        intent_reg: weight of the penalty on prototypes.
        decay: weight of the penalty on whole parameters (SSLRec).
        independence: weight of the likeness of different intents.
    """

    reference = "Ren et al., SIGIR 2023"
    objective_kinds = ("pair",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        intents: int = 128,
        objective: Objective = InfoNCE(temperature=1.0),
        weight: float = 0.1,
        layout: Layout = "authors",
        negatives: int = 1,
        reg: float = 0.1,
        intent_reg: float = 5e-3,
        decay: float = 0.0,
        independence: float = 0.0,
    ) -> None:
        super().__init__(data)
        if layers < 1:
            raise InputError(f"layers of DCCF must be at least 1: every layer is a contrast; got {layers}.")
        self.check(weight=weight, reg=reg, intent_reg=intent_reg, decay=decay, independence=independence)
        one_of("layout", layout, get_args(Layout))
        self.check_forgetful(objective)
        self.sampling = ranked_pairs(negatives)
        self.encoder = LightGCNEncoder(data.train, dim, layers, "sum")
        self.intents, self.mask = Intents(intents), EdgeMask()
        self.intents.allocate(self.encoder.adj, dim, self.encoder.sides)
        self.user_objective = objective.build(data.num_users, dim)
        self.item_objective = objective.build(data.num_items, dim)
        self.rank = BPR()
        self.weight, self.reg, self.whole_batch = weight, reg, layout == "sslrec"
        self.intent_reg, self.decay, self.independence = intent_reg, decay, independence

    def layers(self) -> tuple[list[Tensor], list[tuple[Tensor, ...]]]:
        """X_0 .. X_L, and Z, S, G, Q of every layer, all [U + I, d]."""
        adj = self.encoder.adj
        entered, looks = list[Tensor]([self.encoder.table]), list[tuple[Tensor, ...]]()
        for _ in range(self.encoder.num_layers):
            x = entered[-1]
            z, s = spmm(adj, x), self.intents.forward(x)
            g, q = (spmm(self.mask.graph(adj, scored), x) for scored in (z, s))
            looks.append((z, s, g, q))
            entered.append(z + s + g + q + x)
        return entered, looks

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank``, ``reg``, ``contrast`` and ``intents``; ``decay`` where it has a weight."""
        entered, looks = self.layers()
        terms = ranking_terms(self.encoder, self.encoder.read(entered), batch, self.rank, self.reg)
        terms["contrast"] = self.weight * self.contrast(looks, batch)
        terms["intents"] = self.intent_reg * all_parameters_square(self.intents.parameters())
        if self.independence:
            terms["independence"] = self.independence * self.intents.similarity()
        if self.decay:
            terms["decay"] = self.decay * all_parameters_square([self.encoder.table, *self.intents.parameters()])
        return terms

    def contrast(self, looks: list[tuple[Tensor, ...]], batch: Batch) -> Tensor:
        """Sum of the objectives between Z and S, G, Q of every layer, users and items apart."""
        users, items, share = torch.unique(batch.users), torch.unique(batch.items), 1.0
        if self.whole_batch and batch.negatives is not None:
            items = torch.unique(torch.cat([batch.items, batch.negatives.reshape(-1)]))
            share = items.numel() / users.numel()
        terms = []
        for anchor, *views in looks:
            zu, zi = self.encoder.split(anchor)
            for view in views:
                vu, vi = self.encoder.split(view)
                terms.append(contrast(self.user_objective, zu, vu, users))
                terms.append(share * contrast(self.item_objective, zi, vi, items))
        return torch.stack(terms).sum()

    def tables(self) -> tuple[Tensor, Tensor]:
        """Representations of users and of items."""
        return self.encoder.split(self.encoder.read(self.layers()[0]))
