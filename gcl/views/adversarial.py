"""Noise that is learnt to hurt."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gcl.graph import Adjacency
from gcl.views.noise import Perturbation


class AdversarialNoise(Perturbation):
    """After every step h <- h + eps * g / ||g||, g = MLP(h / ||h|| + ξ), ξ ~ N(0, 1/d): the worst noise of length eps.

    The MLP d -> k -> d reads a detached h and maximises the contrast in a phase of its own, where :class:`Noise` draws
    blindly. ξ keeps two draws of one view apart. After the worst-case perturbations of Goodfellow et al. (ICLR 2015),
    by a generator in place of a gradient step.

    Noise that maximises a loss grows without limit: here its length is eps exactly, whatever is learnt.

    Args:
        eps: length of the noise.
        hidden: k, width of the MLP.
    """

    adversarial = True

    def __init__(self, eps: float = 0.1, hidden: int = 32) -> None:
        super().__init__(eps)
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}.")
        self.hidden = hidden
        self.direction = nn.Sequential()

    def allocate(self, adj: Adjacency, dim: int, sides: Sequence[int]) -> None:
        """The MLP that gives directions."""
        self.direction = nn.Sequential(nn.Linear(dim, self.hidden), nn.Tanh(), nn.Linear(self.hidden, dim))

    def draw(self, h: Tensor, generator: torch.Generator | None) -> Tensor:
        """Noise for representations h [N, d], with gradient to the MLP alone."""
        noise = torch.randn(h.shape, device=h.device, dtype=h.dtype, generator=generator) / h.shape[1] ** 0.5
        return self.eps * F.normalize(self.direction(F.normalize(h.detach(), dim=1) + noise), dim=1)
