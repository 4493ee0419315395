"""GRACE as gcl has it, and as plain torch and torch_geometric with PyGCL's arithmetic."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TEMPERATURE = 0.4


def plain_side(anchor: Tensor, other: Tensor) -> Tensor:
    """One direction: similarities with both views, float masks of positives and negatives, all kept."""
    n = len(anchor)
    sample = F.normalize(torch.cat([other, anchor]))
    positive = torch.cat([torch.eye(n), torch.zeros(n, n)], 1)
    negative = torch.cat([1.0 - torch.eye(n), 1.0 - torch.eye(n)], 1)
    similarity = F.normalize(anchor) @ sample.T / TEMPERATURE
    share = torch.exp(similarity) * (positive + negative)
    log = similarity - torch.log(share.sum(1, keepdim=True))
    return -((log * positive).sum(1) / positive.sum(1)).mean()


def plain_loss(a: Tensor, b: Tensor) -> Tensor:
    """Both directions."""
    return (plain_side(a, b) + plain_side(b, a)) / 2


def plain_infonce(a: Tensor, b: Tensor) -> Tensor:
    """One direction between two views, float masks and all that the gradient needs kept."""
    positive = torch.eye(len(a))
    negative = 1.0 - positive
    similarity = F.normalize(a) @ F.normalize(b).T / TEMPERATURE
    share = torch.exp(similarity) * (positive + negative)
    log = similarity - torch.log(share.sum(1, keepdim=True))
    return -((log * positive).sum(1) / positive.sum(1)).mean()


def infonce_task(job: dict[str, Any]) -> Callable[[], object]:
    """Forward and backward of InfoNCE, one direction."""
    from gcl.losses import InfoNCE

    return both_gradients(job, InfoNCE(TEMPERATURE) if job["side"] == "gcl" else plain_infonce)


def loss_task(job: dict[str, Any]) -> Callable[[], object]:
    """Forward and backward of NT-Xent."""
    from gcl.losses import NTXent

    return both_gradients(job, NTXent(TEMPERATURE) if job["side"] == "gcl" else plain_loss)


def both_gradients(job: dict[str, Any], loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], object]:
    """The gradients of a loss of two matrices of normal random rows."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(job["rows"], job["dim"], generator=generator).requires_grad_() for _ in range(2))
    return lambda: torch.autograd.grad(loss(a, b), (a, b))


class Plain(nn.Module):
    """GRACE with torch_geometric's convolutions, views by its functions, and :func:`plain_loss`."""

    def __init__(self, channels: int, dim: int) -> None:
        from torch_geometric.nn import GCNConv

        super().__init__()
        self.first, self.second = GCNConv(channels, 2 * dim), GCNConv(2 * dim, dim)
        self.project = nn.Sequential(nn.Linear(dim, dim), nn.ELU(), nn.Linear(dim, dim))

    def view(self, data: Any, edges: float, columns: float) -> Tensor:
        """Projected states of a corrupted graph."""
        from torch_geometric.utils import dropout_edge, mask_feature

        kept, _ = dropout_edge(data.edge_index, edges)
        x, _ = mask_feature(data.x, columns, mode="col")
        return self.project(F.relu(self.second(F.relu(self.first(x, kept)), kept)))

    def forward(self, data: Any) -> Tensor:
        """The loss."""
        return plain_loss(self.view(data, 0.2, 0.3), self.view(data, 0.4, 0.4))


def epoch_task(job: dict[str, Any]) -> Callable[[], object]:
    """Forward and backward of an epoch, which is one step on the whole graph."""
    from gcl.data.graphs import load_graphs
    from gcl.ssl import GRACE

    graphs = load_graphs(job["graph"])
    data, generator = graphs.data, torch.Generator().manual_seed(0)
    if job["side"] == "plain":
        model: nn.Module = Plain(graphs.num_features, job["dim"])
        return lambda: torch.autograd.grad(model(data), list(model.parameters()))
    method = GRACE(GRACE.default_encoder(graphs.num_features, job["dim"]))
    return lambda: torch.autograd.grad(method.losses(data, generator)["contrast"], list(method.parameters()))
