"""Readouts: one representation out of those of every layer."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

Readout = Literal["mean", "sum", "mean_without_0", "last"]


def read(layers: Sequence[Tensor], readout: Readout = "mean") -> Tensor:
    """Combine the representations E(0) .. E(L), each [N, d], into [N, d].

    ``mean``: sum of E(0) .. E(L) over L + 1 (LightGCN, 2020). ``sum``: the same without the division (HCCF, LightGCL).
    ``mean_without_0``: sum of E(1) .. E(L) over L (SimGCL, 2022). ``last``: E(L). Without layers all are E(0).

    Under a dot product ``mean`` and ``sum`` differ by the factor (L + 1)^2 in every score, so learning rate,
    temperature and regularisation of one do not carry over to the other.
    """
    if readout == "last" or len(layers) == 1:
        return layers[-1]
    used = list(layers[1:] if readout == "mean_without_0" else layers)
    if len(used) == 1:
        return used[0]
    total = used[0] + used[1]
    for layer in used[2:]:
        total.add_(layer)
    return total if readout == "sum" else total.div_(len(used))
