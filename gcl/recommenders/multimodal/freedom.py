"""FREEDOM: a frozen item graph of features, and a user-item graph that is thinned every epoch."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gcl.data import Batch, Dataset
from gcl.errors import InputError, nearest
from gcl.graph import Adjacency, knn_graph, look_up, mixed, propagate
from gcl.losses import BPR, Objective
from gcl.recommenders.multimodal.base import Cold, Multimodal, ranking


class FREEDOM(Multimodal):
    r"""e_u from LightGCN, e_i + A^n q_i; A = Σ_m w_m A_m, A_m a binary graph of raw features' k nearest, over k.

    Loss = BPR(s_ui, s_uj) + reg * Σ_m BPR(<e_u, p_im>, <e_u, p_jm>), p = W_m f + b_m of the batch's items that have m.
    Every epoch the user-item graph keeps floor((1 - drop) E) edges, drawn without replacement with probability ∝
    1 / sqrt(d_u d_i), normalised anew; scores come from the whole graph. Edges are drawn by Gumbel keys, any number of
    them (torch.multinomial, which the authors use, has a limit of 2^24). No other penalty.
    Zhou and Shen, FREEDOM (MM 2023); their image weight is 0.1, their text weight 0.9.

    Features enter scores through A alone. A cold item is ranked by the ids of its neighbours. For an item that
    lacks modalities, and for all where one is hidden, the other weights grow to sum to 1.

    Args:
        data: what to learn from.
        dim: width of the tables.
        layers: propagation steps on the user-item graph.
        item_layers: n, steps on the item graph.
        neighbours: k, the item itself among them.
        weights: w, modality -> share, made to sum to 1; None: equal shares.
        drop: share of edges left out in an epoch.
        objective: of kind ranking, for both terms.
        negatives: sampled negatives a positive.
        finetune: train the features, too, as the authors do.
        cold: see :class:`Multimodal`.
        reg: weight of the features' terms.
    """

    reference = "Zhou and Shen, MM 2023"
    objective_kinds = ("ranking",)
    edges: Tensor

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        item_layers: int = 1,
        neighbours: int = 10,
        weights: Mapping[str, float] | None = None,
        drop: float = 0.8,
        objective: Objective = BPR(),
        negatives: int = 1,
        finetune: bool = True,
        cold: Cold = "modalities",
        reg: float = 1e-3,
    ) -> None:
        super().__init__(data, cold)
        self.check(reg=reg, item_layers=item_layers)
        if not 0 <= drop < 1:
            raise InputError(f"drop of FREEDOM must lie in [0, 1), got {drop}.")
        self.sampling = self.ranked_pairs(negatives)
        self.encoder = self.graph_encoder(data, dim, layers)
        self.projections = self.project(data, dim, finetune=finetune)
        self.weights = shares(self.names, weights)
        near = [data.modalities[name] for name in self.names]
        self.near = nn.ModuleList(
            knn_graph(m.values, neighbours, present=m.present, weights="one").normalize("sym") for m in near
        )
        self.graph = self.mixture()
        self.objective = objective.build(data.num_items, dim)
        self.item_layers, self.drop, self.reg = item_layers, drop, reg
        self.thin: tuple[tuple[int, int], Adjacency] | None = None
        self.register_buffer("edges", torch.ones(self.encoder.adj.num_undirected, dtype=torch.bool))

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Draw the edges of the epoch."""
        adj, size = self.encoder.adj, len(self.edges)
        chance = torch.zeros(size, device=adj.values.device).index_copy_(0, adj.undirected.long(), adj.values)
        uniform = torch.rand(size, generator=generator, device=generator.device).to(chance.device)
        keys = chance.log() - (-uniform.clamp_min(1e-20).log()).log()
        chosen = torch.topk(keys, max(1, int((1 - self.drop) * size))).indices
        self.edges.zero_().index_fill_(0, chosen, True)

    def thinned(self) -> Adjacency:
        """The user-item graph of the epoch, with the edges drawn and no others; made once an epoch."""
        adj = self.encoder.adj
        if not self.drop:
            return adj
        state = self.edges.data_ptr(), self.edges._version
        if self.thin is None or self.thin[0] != state:
            kept = self.edges.index_select(0, adj.undirected)
            row, col = adj.row[kept].long(), adj.indices[kept].long()
            self.thin = state, Adjacency.from_edges(row, col, adj.num_rows, adj.num_cols).normalize("sym")
        return self.thin[1]

    def seen(self, graph: Adjacency) -> tuple[Tensor, Tensor]:
        """Representations of users and of items, on a user-item graph."""
        table, steps = self.encoder.table, self.encoder.num_layers
        layers = [table, *propagate(graph, table, steps)] if steps else [table]
        users, items = self.encoder.split(self.encoder.read(layers))
        spread = self.encoder.split(table)[1]
        for _ in range(self.item_layers):
            spread = self.graph @ spread
        return users, items + spread if self.item_layers else items

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank`` and ``features``; each item of the batch is projected once."""
        users, items = self.seen(self.thinned())
        rank, rows = ranking(self.objective, users, items, batch)
        if not self.reg:
            return {"rank": rank}
        return {"rank": rank, "features": self.reg * self.features(batch, rows[0])}

    def features(self, batch: Batch, user_rows: Tensor) -> Tensor:
        """The ranking loss of every modality, summed, over rows whose items all have it."""
        assert batch.negatives is not None, "the model's sampling declares negatives"
        both = torch.cat([batch.items[:, None], batch.negatives], 1)
        items, place = torch.unique(both, return_inverse=True)
        terms = []
        for projection in self.projected:
            has = projection.features.present.index_select(0, items)[place].all(1).nonzero().flatten()
            local = Batch(batch.users, place[has, 0], place[has, 1:])
            users = look_up(user_rows, has)
            terms.append(ranking(self.objective, users, projection(items), local, users)[0])
        return torch.stack(terms).sum()

    def hide(self, *names: str) -> None:
        """As :meth:`Multimodal.hide`; the item graph is mixed anew."""
        super().hide(*names)
        self.graph = self.mixture()
        self._kept.clear()

    def mixture(self) -> Adjacency:
        """The item graph A of the modalities that some item has."""
        have = [p.features.present for p in self.projected]
        left = [w * bool(h.any()) for w, h in zip(self.weights, have, strict=True)]
        shares = [w / (sum(left) or 1) for w in left]
        graph = mixed([g for g in self.near if isinstance(g, Adjacency)], shares)
        if all(bool(h.all()) or not bool(h.any()) for h in have):
            return graph
        total = torch.stack([w * h for w, h in zip(shares, have, strict=True)]).sum(0).to(graph.values.device)
        return graph.with_values(graph.values / total.index_select(0, graph.row))

    def tables(self) -> tuple[Tensor, Tensor]:
        """Representations of users and of items, on the whole graph."""
        return self.seen(self.encoder.adj)


def shares(names: tuple[str, ...], weights: Mapping[str, float] | None) -> list[float]:
    """One share a modality, of sum 1.

    Raises:
        InputError: a weight of no modality (with the nearest), a modality without one, negative or zero in all.
    """
    if weights is None:
        return [1 / len(names)] * len(names)
    for name in weights:
        if name not in names:
            raise InputError(f"weights: the data set has no modality {name!r}. {nearest(name, names)}")
    if set(weights) != set(names) or min(weights.values()) < 0 or not sum(weights.values()) > 0:
        raise InputError(
            f"weights must be not negative, one for each of {', '.join(names)}, and not all 0, got {dict(weights)}."
        )
    return [weights[name] / sum(weights.values()) for name in names]
