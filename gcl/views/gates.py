"""Learnt gates on edges, with an exact budget."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from gcl.graph import Adjacency, sddmm, spmm
from gcl.views.base import GraphView, Step, as_linear
from gcl.views.report import mask_picture, mask_report

Relaxation = Literal["concrete", "straight_through"]
BOUND = 6.0
EPS = 1e-4


class EdgeGates(GraphView):
    r"""Every undirected edge passes with a learnt probability p_ab = σ(ω_ab - θ); the mean of p is ``keep``.

    ω_ab = 6 tanh(<f(h_a), f(h_b)> / (6 √k)), f an MLP d -> k -> k, equal in both directions, one sampled product and no
    tensor [E, k]. A draw is y = σ((logit(u) + ω - θ) / τ), u ~ U(0, 1) an undirected edge: ``concrete`` uses y itself,
    ``straight_through`` 1[y > ½] with the gradient of y; P(y > ½) = p for every τ. One draw, from the h that enters
    layer 1, holds for all layers. Gradients reach f through the values of the sparse product; with ``adversarial``
    the MLP reads a detached h and is trained to maximise the contrast.
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
        if not 0.0 < keep < 1.0:
            raise ValueError(f"keep must be a share in (0, 1), got {keep}.")
        if relaxation not in ("concrete", "straight_through"):
            raise ValueError(f"relaxation must be 'concrete' or 'straight_through', got {relaxation!r}.")
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}.")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}.")
        self.keep, self.temperature, self.hidden = keep, temperature, hidden
        self.hard = relaxation == "straight_through"
        self.adversarial, self.renormalize = adversarial, renormalize
        self.ends = nn.Sequential()

    def allocate(self, adj: Adjacency, dim: int, sides: Sequence[int]) -> None:
        """The MLP on the ends of an edge."""
        self.ends = nn.Sequential(nn.Linear(dim, self.hidden), nn.ReLU(), nn.Linear(self.hidden, self.hidden))

    def logits(self, adj: Adjacency, h: Tensor) -> Tensor:
        """ω - θ of every edge [E], for representations h [N, d]; the mean of their σ is ``keep``."""
        f = self.ends(h.detach() if self.adversarial else h)
        raw = sddmm(adj, f, f) / math.sqrt(self.hidden)
        return calibrated(BOUND * torch.tanh(raw / BOUND), self.keep)

    def draw(self, adj: Adjacency, h: Tensor, generator: torch.Generator | None) -> Tensor:
        """Gates of every edge [E], in [0, 1], equal for both directions."""
        u = torch.rand(adj.num_undirected, device=h.device, generator=generator).clamp_(EPS, 1.0 - EPS)
        noise = torch.logit(u).index_select(0, adj.undirected)
        soft = torch.sigmoid((noise + self.logits(adj, h)) / self.temperature)
        return (soft > 0.5).to(soft.dtype) + (soft - soft.detach()) if self.hard else soft

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
