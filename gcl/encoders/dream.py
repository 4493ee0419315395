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
    identity: "multi-scale" and "spatial" are vacuous, and ``form="dense"`` is exactly equal with five matrices.
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
        self.dim, self.form, maps = dim, form, form == "maps"

        def mix(wide: int, out: int, bias: bool = True) -> nn.Module:
            return nn.Conv2d(wide, out, 1, bias=bias) if maps else nn.Linear(wide, out, bias)

        def norm() -> nn.Module:
            return nn.BatchNorm2d(dim) if maps else nn.BatchNorm1d(dim)

        kernels = [nn.Conv2d(dim, dim, 3, padding=r, dilation=r) if maps else nn.Linear(dim, dim) for r in RATES]
        self.branches = nn.ModuleList([mix(dim, dim), *kernels, mix(dim, dim)])
        self.norms = nn.ModuleList(norm() for _ in range(5))
        self.channel, self.spatial = mix(5 * dim, 1, False), mix(5 * dim, 1, False)
        self.out, self.out_norm = mix(5 * dim, dim), norm()
        for branch in () if maps else list(self.branches)[1:4]:
            for parameter in branch.parameters():
                nn.init.uniform_(parameter, -1 / (9 * dim) ** 0.5, 1 / (9 * dim) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Refined rows [n, d]."""
        maps = self.form == "maps"
        rows = x[:, :, None, None] if maps else x
        pooled = rows.mean((2, 3), keepdim=True) if maps else rows
        inputs = [rows] * 4 + [pooled]
        parts = [torch.relu(n(b(r))) for n, b, r in zip(self.norms, self.branches, inputs, strict=True)]
        f = torch.cat(parts, 1)
        whole = f.mean((2, 3), keepdim=True) if maps else f
        gate = torch.maximum(f * torch.relu(self.channel(whole)), f * torch.sigmoid(self.spatial(f)))
        out: Tensor = torch.relu(self.out_norm(self.out(gate * f)))
        return out.flatten(1)

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
        state = {}
        for name, value in maps.state_dict().items():
            state[name] = value[:, :, value.shape[2] // 2, value.shape[3] // 2] if value.dim() == 4 else value
        self.load_state_dict(state)
