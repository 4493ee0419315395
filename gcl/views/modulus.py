"""Noise whose length depends on the row that it moves."""

from typing import Literal

import torch
from torch import Tensor

from gcl.views.noise import Perturbation

Length = Literal["proportional", "inverse", "sigmoid", "constant"]
LENGTHS = ("proportional", "inverse", "sigmoid", "constant")


class ModulusNoise(Perturbation):
    """h <- h + eps * len(||h||) * sign(h) * r / ||r||, r ~ U(0, 1)^d a row: the orthant of h is kept.

    ``length``: ``proportional`` ||h||, long rows more in space and all alike in angle; ``inverse`` mean(||h||)² /
    ||h||, short rows more in angle; ``sigmoid`` sigmoid((||h|| - mean) / std), long rows more, at most eps;
    ``constant`` 1, which is :class:`gcl.views.Noise`. Readings of the modulus-guided perturbation of SIGER (Zhang et
    al., 2025), whose text does not fix one. Under a cosine ``proportional`` turns all rows alike: choose another where
    the loss should tell them apart. Means are over the rows given. A row of zeros is not moved (its sign is 0).

    As a view of a graph it acts after every step; :meth:`draw` moves any representations. The gradient passes
    unchanged: sign and length have none.

    Args:
        eps: factor of the length.
        length: what it depends on.
    """

    def __init__(self, eps: float = 0.1, length: Length = "proportional") -> None:
        super().__init__(eps)
        if length not in LENGTHS:
            raise ValueError(f"length must be one of {', '.join(LENGTHS)}, got {length!r}.")
        self.length = length

    def draw(self, h: Tensor, generator: torch.Generator | None) -> Tensor:
        """Noise for representations h [N, d], without gradient."""
        with torch.no_grad():
            noise = torch.rand(h.shape, device=h.device, dtype=h.dtype, generator=generator)
            norm = torch.linalg.vector_norm(noise, dim=1, keepdim=True).clamp_(min=1e-12)
            return noise.mul_(self.eps / norm * self.factor(h)).mul_(h.sign())

    def factor(self, h: Tensor) -> Tensor:
        """How many times eps each row is moved, [N, 1]."""
        modulus = torch.linalg.vector_norm(h, dim=1, keepdim=True)
        if self.length == "constant":
            return torch.ones_like(modulus)
        if self.length == "proportional":
            return modulus
        if self.length == "inverse":
            return modulus.mean().square() / modulus.clamp(min=1e-12)
        return torch.sigmoid((modulus - modulus.mean()) / modulus.std(correction=0).clamp(min=1e-12))
