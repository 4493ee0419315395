"""Two generators that learn by their own losses: an auto-encoder that judges edges, and gates that learn to denoise."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gcl.graph import Adjacency, look_up, spmm
from gcl.views.base import Edges, GraphView, Step, as_linear
from gcl.views.report import mask_picture, mask_report

BLOCK = 1 << 16
"""Edges decoded at once where no gradient is asked for."""


class EdgeVAE(GraphView):
    r"""μ, σ = MLP(x), softplus(MLP(x)); z = μ + σ ε; p_ab = σ(w · ReLU(W ReLU(z_a ∘ z_b))); an edge stays if p_ab >= ½.

    Kept values of the graph are divided by the share that is kept, so that its mass stays. The graph carries no
    gradient: the generator learns from :meth:`loss` alone, on edges and pairs that are none, so it cannot follow the
    contrast to keep all or drop all; with no edge over the threshold the graph is empty. As a view x is what enters
    layer 1, and one draw holds for all layers. Jiang et al., Adaptive Graph Contrastive Learning (KDD 2023).
    """

    kept: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.spread, self.decoder = nn.Sequential(), nn.Sequential(), nn.Sequential()
        self.register_buffer("kept", torch.ones(()))

    def allocate(self, adj: Adjacency, dim: int, sides: Sequence[int]) -> None:
        """Networks of width ``dim`` in every layer."""
        self.mean = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.spread = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.Softplus())
        self.decoder = nn.Sequential(nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 1))

    def encode(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        """z, μ and σ, each [N, d]."""
        mean, spread = self.mean(x), self.spread(x)
        noise = torch.randn(mean.shape, device=x.device, dtype=mean.dtype, generator=generator)
        return mean + spread * noise, mean, spread

    def graph(self, adj: Adjacency, x: Tensor, generator: torch.Generator | None) -> Adjacency:
        """The graph without the edges that the decoder rejects."""
        return adj.scaled(self.draw(adj, x, generator), symmetric=True)

    @torch.no_grad()
    def draw(self, adj: Adjacency, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Factors of edges [E], of mean 1: 0 for those that the decoder rejects."""
        if not len(self.mean):
            raise ValueError("EdgeVAE has no parameters yet: call allocate(...) first.")
        z, _, _ = self.encode(x, generator)
        ends = zip(adj.row.split(BLOCK), adj.indices.split(BLOCK), strict=True)
        logits = [self.decoder(z.index_select(0, a) * z.index_select(0, b))[:, 0] for a, b in ends]
        keep = (torch.cat(logits) >= 0).to(adj.values.dtype) if logits else adj.values
        self.kept.copy_(keep.mean())
        return keep / keep.mean().clamp(min=1e-12)

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """One draw for all layers, made when layer 1 is taken."""
        before = as_linear(source, "EdgeVAE")
        factors: list[Tensor] = []

        def step(h: Tensor, layer: int) -> Tensor:
            adj = before.graph(layer)
            if layer == 1 or not factors:
                factors[:] = [self.draw(adj, h, generator)]
            return spmm(adj.scaled(factors[0], symmetric=True), h)

        return step

    def terms(self, adj: Adjacency, h: Tensor, nodes: Edges, generator: torch.Generator | None) -> dict[str, Tensor]:
        """:meth:`loss`, as ``generator``."""
        return {"generator": self.loss(h.detach(), *nodes, generator)}

    def report(self, adj: Adjacency, h: Tensor) -> dict[str, float]:
        """Share of edges that the last graph kept."""
        return {"keep": self.kept.item()}

    def loss(
        self, x: Tensor, first: Tensor, second: Tensor, other: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """BCE of edges (first, second) and of pairs (first, other) that are none + 0.1 KL to N(0, 1) + BPR on z.

        Nodes are [B], ``other`` [B, m]; the divergence is a mean over nodes of sums over d.
        """
        z, mean, spread = self.encode(x, generator)
        a, b = look_up(z, first), look_up(z, second)
        c, a_wide = look_up(z, other), look_up(z, first)[:, None]
        rebuilt = F.softplus(-self.decoder(a * b)).mean() + F.softplus(self.decoder(a_wide * c)).mean()
        variance = spread.square()
        divergence = 0.5 * (mean.square() + variance - variance.clamp(min=1e-12).log() - 1).sum(1).mean()
        rank = F.softplus((a_wide * c).sum(-1) - (a * b).sum(-1, keepdim=True)).mean()
        return rebuilt + 0.1 * divergence + rank


class EdgeDenoiser(GraphView):
    r"""Hard-concrete gates a layer: log α_ab = w · [ReLU(W1 x_a) || ReLU(W2 x_b)], a sum of one number for each end.

    In training g = σ((logit(u) + log α) / β), as a view σ(log α); stretched to (γ, ζ) and cut to [0, 1], so that gates
    are exactly 0 or 1 with a probability that has a gradient. The gated graph is normalised by its own row sums, of at
    least 0.01. Gates differ by direction. Gradients reach them through the values of the sparse product.
    Jiang et al., AdaGCL (KDD 2023); gates: Louizos et al. (ICLR 2018).

    Keeping all edges is the easy answer; :meth:`open`, the expected share of gates that are not 0, is its price. As a
    view gates carry no gradient of the contrast; they learn to rank over noisy gates (:meth:`terms`).

    Args:
        layers: propagation steps with gates of their own; further ones share the last's.
        low: γ < 0.
        high: ζ > 1.
        beta: β > 0 of the noisy gates.
        price: weight of :meth:`open`.
    """

    def __init__(
        self, layers: int = 2, low: float = -0.45, high: float = 1.05, beta: float = 2 / 3, price: float = 1e-4
    ) -> None:
        super().__init__()
        if layers < 1 or beta <= 0 or price < 0:
            raise ValueError(f"layers >= 1, beta > 0 and price >= 0 must hold, got {layers}, {beta}, {price}.")
        if not low < 0.0 or not high > 1.0:
            raise ValueError(
                f"low must be below 0 and high above 1, or no gate is ever shut or open, got {low}, {high}."
            )
        self.layers, self.low, self.high, self.beta, self.price = layers, low, high, beta, price
        self.rows, self.columns = nn.ModuleList(), nn.ModuleList()

    def allocate(self, adj: Adjacency, dim: int, sides: Sequence[int]) -> None:
        """Networks on both ends of an edge, for every layer."""
        self.rows = nn.ModuleList(_score(dim) for _ in range(self.layers))
        self.columns = nn.ModuleList(_score(dim) for _ in range(self.layers))

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """Gates of every layer from what enters it, without noise and without gradient to them."""
        before = as_linear(source, "EdgeDenoiser")

        def step(h: Tensor, layer: int) -> Tensor:
            adj = before.graph(layer)
            with torch.no_grad():
                gated = self.graph(adj, self.logits(adj, h, layer))
            return spmm(gated, h)

        return step

    def terms(self, adj: Adjacency, h: Tensor, nodes: Edges, generator: torch.Generator | None) -> dict[str, Tensor]:
        """``generator``: BPR of the sum of the noisy layers; ``price``: that of open gates."""
        layers, price = self.forward(adj, h.detach(), self.beta, generator)
        z = torch.stack(layers).sum(0)
        first, second, other = (look_up(z, n) for n in nodes)
        gap = (first[:, None] * other).sum(-1) - (first * second).sum(-1, keepdim=True)
        return {"generator": F.softplus(gap).mean(), "price": self.price * price}

    def logits(self, adj: Adjacency, x: Tensor, layer: int) -> Tensor:
        """log α of every edge [E], for what enters layer 1, 2 ..., [N, d]."""
        if not len(self.rows):
            raise ValueError("EdgeDenoiser has no parameters yet: call allocate(...) first.")
        place = min(layer, self.layers) - 1
        a, b = self.rows[place](x)[:, 0], self.columns[place](x)[:, 0]
        return a.index_select(0, adj.row) + b.index_select(0, adj.indices)

    def mask(self, logits: Tensor, noise: Tensor | None = None, beta: Tensor | float = 1.0) -> Tensor:
        """Gates [E] in [0, 1]; ``noise`` u [E] uniform in (0, 1), None for a view."""
        gate = torch.sigmoid(logits if noise is None else (torch.logit(noise, 1e-6) + logits) / beta)
        return (gate * (self.high - self.low) + self.low).clamp(0.0, 1.0)

    def report(self, adj: Adjacency, h: Tensor) -> dict[str, float]:
        """Mean, deviation and correlation with degree of the gates of layer 1, without noise."""
        return mask_report(adj, self.mask(self.logits(adj, h, 1)))

    def pictures(self, adj: Adjacency, h: Tensor) -> dict[str, Tensor]:
        """``degree``: those gates against the degree of an edge's ends."""
        return {"degree": mask_picture(adj, self.mask(self.logits(adj, h, 1)))}

    def graph(
        self, adj: Adjacency, logits: Tensor, noise: Tensor | None = None, beta: Tensor | float = 1.0
    ) -> Adjacency:
        """The gated graph, normalised; edges of value 0 stay out."""
        mask = self.mask(logits, noise, beta) * (adj.values != 0)
        degree = adj.with_values(mask).degree().clamp(min=0.01).rsqrt()
        return adj.with_values(mask * degree.index_select(0, adj.row) * degree.index_select(0, adj.indices))

    def view(self, adj: Adjacency, x: Tensor) -> list[Tensor]:
        """x and what every layer makes of it, L + 1 tensors, on graphs without noise and without gradient to gates."""
        layers = [x]
        for layer in range(1, len(self.rows) + 1):
            with torch.no_grad():
                gated = self.graph(adj, self.logits(adj, layers[-1], layer))
            layers.append(spmm(gated, layers[-1]))
        return layers

    def forward(
        self, adj: Adjacency, x: Tensor, beta: Tensor | float, generator: torch.Generator | None
    ) -> tuple[list[Tensor], Tensor]:
        """Layers 0 .. L on noisy gates, with gradient to them, and the sum over layers of :meth:`open`."""
        layers, price = [x], list[Tensor]()
        for layer in range(1, len(self.rows) + 1):
            logits = self.logits(adj, layers[-1], layer)
            noise = torch.rand(logits.shape, device=x.device, dtype=x.dtype, generator=generator)
            price.append(self.open(logits, beta))
            layers.append(spmm(self.graph(adj, logits, noise, beta), layers[-1]))
        return layers, torch.stack(price).sum()

    def open(self, logits: Tensor, beta: Tensor | float) -> Tensor:
        """Mean probability that a gate is not 0: σ(log α - β log(-γ / ζ))."""
        return torch.sigmoid(logits - beta * math.log(-self.low / self.high)).mean()


def _score(dim: int) -> nn.Sequential:
    """One number a node; the two of an edge add up."""
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 1))
