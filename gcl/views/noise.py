"""Noise on representations."""

from abc import abstractmethod

import torch
from torch import Tensor

from gcl.graph import Adjacency
from gcl.views.base import GraphView, Step, as_step


class Perturbation(GraphView):
    """Base of views that move representations: h <- h + :meth:`draw` (h) after every step.

    Args:
        eps: length of the noise.
    """

    def __init__(self, eps: float) -> None:
        super().__init__()
        if eps < 0:
            raise ValueError(f"eps must not be negative, got {eps}.")
        self.eps = eps

    @abstractmethod
    def draw(self, h: Tensor, generator: torch.Generator | None) -> Tensor:
        """What is added to representations h [N, d]."""

    def steps(self, source: Adjacency | Step, generator: torch.Generator | None = None) -> Step:
        """Fresh noise at every layer, and at every call of the step."""
        before = as_step(source)

        def step(h: Tensor, layer: int) -> Tensor:
            clean = before(h, layer)
            return clean + self.draw(clean, generator)

        return step


class Noise(Perturbation):
    """After every step h <- h + eps * sign(h) * r / ||r||, r ~ U(0, 1)^d a row: length eps, orthant of h kept.

    The gradient passes unchanged: the sign has none. Yu et al., SimGCL (SIGIR 2022).

    Args:
        eps: length of the noise.
    """

    def __init__(self, eps: float = 0.1) -> None:
        super().__init__(eps)

    def draw(self, h: Tensor, generator: torch.Generator | None) -> Tensor:
        """Noise for representations h [N, d], without gradient."""
        with torch.no_grad():
            noise = torch.rand(h.shape, device=h.device, dtype=h.dtype, generator=generator)
            length = torch.linalg.vector_norm(noise, dim=1, keepdim=True).clamp_(min=1e-12)
            return noise.mul_(self.eps / length).mul_(h.sign())
