"""DREAM: the dilated refinement attention block of MambaRec, as published and as what it computes on vectors."""

from typing import Literal

import torch
from torch import Tensor, nn

RATES = (6, 12, 18)
"""Dilations of the three 3 x 3 branches."""


class DREAM(nn.Module):
    r"""F = concat_{r=1..5} ReLU(BN_r(x W_r + b_r)), g = max(ReLU(F w_c), sigmoid(F w_s)),
    DREAM(x) = ReLU(BN_o((F * F * g) W_o + b_o)); [n, d] -> [n, d], W_r [d, d], w [5d], W_o [5d, d].

    ``form="maps"`` is the block as published: rows as maps [n, d, 1, 1], a 1 x 1 convolution, 3 x 3 ones dilated by 6,
    12 and 18, and a pooled branch; channel gate ReLU, spatial gate sigmoid, their larger one times F, times F once
    more. On a map of one pixel a dilated kernel meets its centre alone, all else is padding, and pooling is the
    identity: "multi-scale" and "spatial" are vacuous, and ``form="dense"`` is exactly equal with one matrix [d, 5 d].
    :meth:`load_maps` carries weights over. Initialised as the published form: U(-1/sqrt(k), 1/sqrt(k)), fan-in k = d of
    1 x 1 and 9 d of 3 x 3 kernels. Rows are not independent in training mode: batch normalisation.

    MambaRec (CIKM 2025). The square of F is that of the authors' code.

    Args:
        dim: width d.
        form: ``dense`` or ``maps``.
    """

    def __init__(self, dim: int, form: Literal["dense", "maps"] = "dense") -> None:
        super().__init__()
        if form not in ("dense", "maps"):
            raise ValueError(f"form must be 'dense' or 'maps', got {form!r}.")
        self.dim, self.form, wide = dim, form, 5 * dim
        if form == "maps":
            kernels = [nn.Conv2d(dim, dim, 3, padding=r, dilation=r) for r in RATES]
            self.branches = nn.ModuleList([nn.Conv2d(dim, dim, 1), *kernels, nn.Conv2d(dim, dim, 1)])
            self.norms = nn.ModuleList(nn.BatchNorm2d(dim) for _ in range(5))
        else:
            self.branch, self.norm = nn.Linear(dim, wide), nn.BatchNorm1d(wide)
            for parameter in self.branch.parameters():
                nn.init.uniform_(parameter, -1 / dim**0.5, 1 / dim**0.5)
                parameter.data[dim : 4 * dim] /= 3
        self.channel, self.spatial = self._mix(wide, 1, False), self._mix(wide, 1, False)
        self.out, self.out_norm = self._mix(wide, dim), nn.BatchNorm1d(dim)

    def _mix(self, wide: int, out: int, bias: bool = True) -> nn.Module:
        return nn.Conv2d(wide, out, 1, bias=bias) if self.form == "maps" else nn.Linear(wide, out, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Refined rows [n, d]."""
        if self.form == "maps":
            return self._maps(x[:, :, None, None])
        f = torch.relu(self.norm(self.branch(x)))
        gate = torch.maximum(torch.relu(self.channel(f)), torch.sigmoid(self.spatial(f)))
        out: Tensor = torch.relu(self.out_norm(self.out(f * f * gate)))
        return out

    def _maps(self, maps: Tensor) -> Tensor:
        inputs = [maps] * 4 + [maps.mean((2, 3), keepdim=True)]
        parts = [torch.relu(n(b(m))) for n, b, m in zip(self.norms, self.branches, inputs, strict=True)]
        f = torch.cat(parts, 1)
        channel = torch.relu(self.channel(f.mean((2, 3), keepdim=True)))
        gated = torch.maximum(f * channel, f * torch.sigmoid(self.spatial(f)))
        out: Tensor = torch.relu(self.out_norm(self.out(gated * f).flatten(1)))
        return out

    @torch.no_grad()
    def load_maps(self, maps: "DREAM") -> None:
        """Take the weights and statistics of a block of form ``maps``: centre taps become matrices.

        Raises:
            ValueError: this block is not dense, or the other is no block of maps of this width.
        """
        if self.form != "dense" or maps.form != "maps" or maps.dim != self.dim:
            raise ValueError(
                f"load_maps carries maps over to a dense block of the same width, got {maps.form} of width {maps.dim} "
                f"to {self.form} of width {self.dim}."
            )
        theirs = {name: centre(value) for name, value in maps.state_dict().items()}
        for name, value in self.state_dict().items():
            group, _, last = name.partition(".")
            many = {"branch": "branches", "norm": "norms"}.get(group)
            if many is None or last == "num_batches_tracked":
                value.copy_(theirs[name if many is None else f"{many}.0.{last}"])
            else:
                value.copy_(torch.cat([theirs[f"{many}.{at}.{last}"] for at in range(5)]))


def centre(weight: Tensor) -> Tensor:
    """The centre taps of a convolution's weight [out, in, k, k] as a matrix; anything else as it is."""
    return weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2] if weight.dim() == 4 else weight
