"""Learnt gates on edges, with an exact budget."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor, nn

from gcl.errors import one_of
from gcl.graph import Adjacency, sddmm, spmm
from gcl.views.base import DataView, GraphView, Step, as_linear
from gcl.views.batches import edges_of, pair_ids, put_weight, weight_of
from gcl.views.features import features_of
from gcl.views.report import mask_picture, mask_report

if TYPE_CHECKING:
    from torch_geometric.data import Data

Relaxation = Literal["concrete", "straight_through"]
BOUND = 6.0
EPS = 1e-4


class EdgeGates(GraphView, DataView):
    r"""Every undirected edge passes with a learnt probability p_ab = σ(ω_ab - θ); the mean of p is ``keep``.

    ω_ab = 6 tanh(<f(h_a), f(h_b)> / (6 √k)), f an MLP d -> k -> k, equal in both directions, one sampled product and no
    tensor [E, k]. A draw is y = σ((logit(u) + ω - θ) / τ), u ~ U(0, 1) an undirected edge: ``concrete`` uses y itself,
    ``straight_through`` 1[y > ½] with the gradient of y; P(y > ½) = p for every τ. One draw, from the h that enters
    layer 1, holds for all layers. Gradients reach f through the values of the sparse product; with ``adversarial``
    the MLP reads a detached h and is trained to maximise the contrast.
    On ``Data`` gates multiply ``edge_weight``, which the encoder must read; h is ``x``, or what :meth:`gate` is given.
    Suresh et al., AD-GCL (NeurIPS 2021); relaxation: Maddison et al., Concrete (ICLR 2017).

    A generator that maximises a contrast drops all edges, one that minimises it keeps all. Neither can happen here: θ
    is solved so that the mean of p over edges is ``keep``, and is differentiated as the solution it is; what is learnt
    is which edges. Bounded ω keep p away from 0 and 1, where no gradient is.

    Args:
        keep: share of edges that pass in expectation, in (0, 1).
        relaxation: what the sparse product sees.
        temperature: τ > 0; below 0.3 gradients vanish.
        hidden: k, width of the MLP.
        adversarial: maximise the contrast, in a phase of its own.
        renormalize: normalise the gated graph by its own degrees, else scale the normalised values.
    """

    def __init__(
        self,
        keep: float = 0.8,
        relaxation: Relaxation = "concrete",
        temperature: float = 1.0,
        hidden: int = 32,
        adversarial: bool = False,
        renormalize: bool = True,
    ) -> None:
        super().__init__()
        check_gates(keep, relaxation, temperature)
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}.")
        self.keep, self.temperature, self.hidden = keep, temperature, hidden
        self.hard = relaxation == "straight_through"
        self.adversarial, self.renormalize = adversarial, renormalize
        self.ends = nn.Sequential()

    def allocate(self, adj: Adjacency, dim: int, sides: Sequence[int]) -> None:
        """The MLP on the ends of an edge."""
        self.prepare(dim)

    def prepare(self, channels: int) -> None:
        """The same, for representations of this width."""
        self.ends = nn.Sequential(nn.Linear(channels, self.hidden), nn.ReLU(), nn.Linear(self.hidden, self.hidden))

    def logits(self, adj: Adjacency, h: Tensor) -> Tensor:
        """ω - θ of every edge [E], for representations h [N, d]; the mean of their σ is ``keep``."""
        f = self._read(h)
        return self._calibrated(sddmm(adj, f, f))

    def draw(self, adj: Adjacency, h: Tensor, generator: torch.Generator | None) -> Tensor:
        """Gates of every edge [E], in [0, 1], equal for both directions."""
        return self._drawn(self.logits(adj, h), adj.undirected, adj.num_undirected, generator)

    def data_logits(self, data: "Data", h: Tensor) -> Tensor:
        """:meth:`logits` of the edges of ``data``."""
        f, (first, second) = self._read(h), edges_of(data)
        return self._calibrated((f.index_select(0, first) * f.index_select(0, second)).sum(1))

    def gate(self, data: "Data", h: Tensor, generator: torch.Generator | None = None) -> "Data":
        """Data whose ``edge_weight`` is times the gates, with gradient, for representations h [N, d]."""
        ids, count = pair_ids(edges_of(data), int(data.num_nodes))
        return put_weight(data, weight_of(data) * self._drawn(self.data_logits(data, h), ids, count, generator))

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """:meth:`gate` for the features."""
        return self.gate(data, features_of(data, "EdgeGates"), generator)

    def _read(self, h: Tensor) -> Tensor:
        """f of all nodes, [N, k]."""
        if not len(self.ends):
            raise ValueError("EdgeGates has no parameters yet: call prepare(width of x) or allocate(...) first.")
        return self.ends(h.detach() if self.adversarial else h)

    def _calibrated(self, products: Tensor) -> Tensor:
        """ω - θ from the products <f(h_a), f(h_b)> of all edges."""
        return calibrated(BOUND * torch.tanh(products / (math.sqrt(self.hidden) * BOUND)), self.keep)

    def _drawn(self, logits: Tensor, ids: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
        """Gates for logits [E], with one draw for each of ``count`` undirected edges ``ids`` [E]."""
        u = torch.rand(count, device=logits.device, generator=generator)
        return relaxed(logits, u.index_select(0, ids), self.temperature, self.hard)

    def report(self, adj: Adjacency, h: Tensor) -> dict[str, float]:
        """Mean, deviation and correlation with degree of p."""
        return mask_report(adj, torch.sigmoid(self.logits(adj, h)))

    def pictures(self, adj: Adjacency, h: Tensor) -> dict[str, Tensor]:
        """``degree``: p against the degree of an edge's ends."""
        return {"degree": mask_picture(adj, torch.sigmoid(self.logits(adj, h)))}

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """One draw for all layers, made when layer 1 is taken."""
        before = as_linear(source, "EdgeGates")
        gates: list[Tensor] = []

        def step(h: Tensor, layer: int) -> Tensor:
            adj = before.graph(layer)
            if layer == 1 or not gates:
                gates[:] = [self.draw(adj, h, generator)]
            return spmm(adj.scaled(gates[0], renormalize=self.renormalize, symmetric=True), h)

        return step


def check_gates(keep: float, relaxation: Relaxation, temperature: float) -> None:
    """An error for settings that no gate can have."""
    if not 0.0 < keep < 1.0:
        raise ValueError(f"keep must be a share in (0, 1), got {keep}.")
    one_of("relaxation", relaxation, get_args(Relaxation))
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}.")


def relaxed(logits: Tensor, u: Tensor, temperature: float, hard: bool) -> Tensor:
    """Draws y = σ((logit(u) + logits) / τ) for u uniform in (0, 1); ``hard``: 1[y > ½] with the gradient of y."""
    soft = torch.sigmoid((torch.logit(u, EPS) + logits) / temperature)
    return (soft > 0.5).to(soft.dtype) + (soft - soft.detach()) if hard else soft


def calibrated(logits: Tensor, share: float, iterations: int = 12) -> Tensor:
    """The logits less the one number θ for which the mean of σ(logits - θ) is ``share``.

    θ comes from Newton's method inside a bracket; a last step of it carries the gradient of θ as an implicit function.
    """
    if not logits.numel():
        return logits
    fixed, target = logits.detach(), math.log(share / (1.0 - share))
    low, high = fixed.min() - target, fixed.max() - target
    theta = fixed.mean() - target
    for _ in range(iterations):
        theta = torch.where((theta < low) | (theta > high), (low + high) / 2, theta)
        p = torch.sigmoid(fixed - theta)
        excess = p.mean() - share
        low, high = torch.where(excess > 0, theta, low), torch.where(excess > 0, high, theta)
        theta = theta + excess / (p * (1.0 - p)).mean()
    p = torch.sigmoid(fixed - theta)
    slope = (p * (1.0 - p)).mean()
    return logits - (theta + (torch.sigmoid(logits - theta).mean() - share) / slope)
