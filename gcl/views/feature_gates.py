"""Learnt gates on columns of representations, with an exact budget."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gcl.graph import Adjacency
from gcl.views.base import DataView, GraphView, Step, as_step
from gcl.views.features import features_of
from gcl.views.gates import BOUND, Relaxation, calibrated, check_gates, relaxed

if TYPE_CHECKING:
    from torch_geometric.data import Data


class FeatureGates(GraphView, DataView):
    r"""h <- y ∘ h after every step: column k passes with learnt probability p_k = σ(ω_k - θ), of mean ``keep``.

    ω_k = 6 tanh(w_k / 6), w [d] learnt from 0. A draw is y = σ((logit(u) + ω - θ) / τ), u ~ U(0, 1) a column, one for
    all nodes and all layers; relaxations as in :class:`gcl.views.EdgeGates`. On ``Data`` columns of ``x`` are gated.
    :class:`gcl.views.MaskFeature` that learns which columns (Zhu et al., GRACE, 2020; GCA, WWW 2021, weighs them by
    hand); relaxation: Maddison et al., Concrete (ICLR 2017).

    A mask that maximises a contrast hides all columns, one that minimises it none. θ is solved so that the mean of p is
    ``keep``, and is differentiated as the solution it is; bounded ω keep p away from 0 and 1, where no gradient is.

    Args:
        keep: share of columns that pass in expectation, in (0, 1).
        relaxation: what the columns are multiplied with.
        temperature: τ > 0; below 0.3 gradients vanish.
        adversarial: maximise the contrast, in a phase of its own.
    """

    level = "feature"

    def __init__(
        self,
        keep: float = 0.8,
        relaxation: Relaxation = "concrete",
        temperature: float = 1.0,
        adversarial: bool = False,
    ) -> None:
        super().__init__()
        check_gates(keep, relaxation, temperature)
        self.keep, self.temperature, self.adversarial = keep, temperature, adversarial
        self.hard = relaxation == "straight_through"
        self.weight = nn.Parameter(torch.empty(0))

    def allocate(self, adj: Adjacency, dim: int, sides: Sequence[int]) -> None:
        """One number a column."""
        self.prepare(dim)

    def prepare(self, channels: int) -> None:
        """The same, for ``x`` of this width."""
        self.weight = nn.Parameter(torch.zeros(channels))

    def logits(self) -> Tensor:
        """ω - θ of every column [d]; the mean of their σ is ``keep``."""
        if not self.weight.numel():
            raise ValueError("FeatureGates has no parameters yet: call prepare(width of x) or allocate(...) first.")
        return calibrated(BOUND * torch.tanh(self.weight / BOUND), self.keep)

    def draw(self, generator: torch.Generator | None) -> Tensor:
        """Gates of every column [d], in [0, 1]."""
        logits = self.logits()
        u = torch.rand(logits.shape, device=logits.device, generator=generator)
        return relaxed(logits, u, self.temperature, self.hard)

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> "Data":
        """Data with gated features."""
        out = copy.copy(data)
        out.x = features_of(data, "FeatureGates") * self.draw(generator)
        return out

    def report(self, adj: Adjacency, h: Tensor) -> dict[str, float]:
        """Mean and deviation of p."""
        p = torch.sigmoid(self.logits())
        return {"keep": p.mean().item(), "deviation": p.std(correction=0).item()}

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """One draw for all layers, made when layer 1 is taken."""
        before = as_step(source)
        gates: list[Tensor] = []

        def step(h: Tensor, layer: int) -> Tensor:
            if layer == 1 or not gates:
                gates[:] = [self.draw(generator)]
            return before(h, layer) * gates[0]

        return step
