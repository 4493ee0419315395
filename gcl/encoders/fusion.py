"""Several modalities become one representation: attention, gates."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def attend(logits: Tensor, x: Tensor) -> Tensor:
    """Softmax over modalities of ``logits`` [M, n] where ``x`` [M, n, d] has a row that is not 0; [M, n].

    A row of zeros is a modality that is missing: it has no share. Where all are missing all shares are 0.
    """
    there = (x.detach() != 0).any(-1)
    nobody = ~there.any(0)
    shares = torch.softmax(logits.masked_fill(~there & ~nobody, -torch.inf), 0)
    return shares * ~nobody


class AttentionFusion(nn.Module):
    r"""F = Σ_m α_m x_m, α = softmax_m q(x_m), q(x) = v^T tanh(W x + b) shared by all modalities.

    Shapes: ``x`` M tensors [n, d] -> [n, d]. The fuser of MGCN (Yu et al., MM 2023) and of MICRO (Zhang et al., 2022).
    A modality whose row is 0 has no share. One modality has nothing to be weighed against: the module then has no
    parameters and returns it.

    Args:
        dim: width d.
        modalities: their number M.
    """

    def __init__(self, dim: int, modalities: int) -> None:
        super().__init__()
        self.query: nn.Module | None = None
        if modalities > 1:
            self.query = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1, bias=False))

    def shares(self, x: Sequence[Tensor]) -> Tensor:
        """α [M, n]."""
        stacked = torch.stack(list(x))
        logits = stacked.new_zeros(stacked.shape[:2]) if self.query is None else self.query(stacked)[..., 0]
        return attend(logits, stacked)

    def forward(self, x: Sequence[Tensor]) -> Tensor:
        """The weighed sum [n, d]."""
        if self.query is None:
            return x[0]
        return (self.shares(x)[..., None] * torch.stack(list(x))).sum(0)


class BehaviourFusion(nn.Module):
    r"""What modalities share, and what each has apart as far as behaviour asks for it.

    common = :class:`AttentionFusion`; s_m = (x_m - common) * sigmoid(G_m c); F = (Σ_m s_m + common) / (M + 1), c the
    behaviour's representation. A modality that is missing has no s_m and is not counted in M. With one modality F is
    it. The behaviour-aware fuser of MGCN (Yu et al., MM 2023).

    Args:
        dim: width d.
        modalities: their number M.
    """

    def __init__(self, dim: int, modalities: int) -> None:
        super().__init__()
        self.attention = AttentionFusion(dim, modalities)
        self.gates = nn.ModuleList(nn.Linear(dim, dim) for _ in range(modalities if modalities > 1 else 0))

    def forward(self, x: Sequence[Tensor], behaviour: Tensor) -> Tensor:
        """The fused rows [n, d]."""
        if not self.gates:
            return x[0]
        common = self.attention(x)
        total, count = common, torch.ones_like(common[:, :1])
        for gate, rows in zip(self.gates, x, strict=True):
            there = (rows.detach() != 0).any(-1, keepdim=True)
            total = total + (rows - common) * torch.sigmoid(gate(behaviour)) * there
            count = count + there
        return total / count
