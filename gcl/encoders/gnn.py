"""Graph encoders of the SSL methods, on the package's own sparse product; weights of edges always act."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from gcl.graph import Adjacency, spmm
from gcl.views.batches import Memo

Activation = Literal["relu", "prelu", "rrelu"]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "prelu": nn.PReLU,
    "rrelu": lambda: nn.LeakyReLU(11 / 48),
}
"""``rrelu`` as GCA's code runs it: the mean slope of torch's, never random."""


class GCN(nn.Module):
    """H_l = act(norm(Â H_{l-1} W_l + b_l)), Â = D^-1/2 (A + I) D^-1/2, D the row sums of A + I; [N, F] -> [N, d].

    A is weighted by ``edge_weight`` [E] or 1, and differentiable in it; self-loops in ``edge_index`` count as the one
    that is added. Equal to :class:`torch_geometric.nn.GCN` without the tensor [E, d] of messages.
    Kipf & Welling, GCN (ICLR 2017).

    Args:
        in_channels: F.
        channels: widths of the layers; the last one is d.
        act: activation after a layer.
        norm: batch normalisation before the activation, of momentum 0.01.
        last: whether the last layer has normalisation and activation.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], act: Activation = "relu", norm: bool = False, last: bool = True
    ) -> None:
        super().__init__()
        if not channels:
            raise ValueError("channels must name the width of at least one layer, got none.")
        if min(channels) < 1:
            raise ValueError(f"channels must be widths of at least 1, got {list(channels)}.")
        if act not in ACTIVATIONS:
            raise ValueError(f"act must be 'relu', 'prelu' or 'rrelu', got {act!r}.")
        self.in_channels, self.out_channels = in_channels, channels[-1]
        widths = [in_channels, *channels]
        self.weights = nn.ParameterList(torch.empty(a, b) for a, b in pairwise(widths))
        self.biases = nn.ParameterList(torch.empty(b) for b in channels)
        finished = len(channels) if last else len(channels) - 1
        norms = [nn.BatchNorm1d(b, momentum=0.01) if norm else nn.Identity() for b in channels[:finished]]
        self.after = nn.ModuleList(nn.Sequential(one, ACTIVATIONS[act]()) for one in norms)
        self._memo = Memo()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights Xavier-uniform, biases 0, normalisations and slopes as new."""
        for weight, bias in zip(self.weights, self.biases, strict=True):
            nn.init.xavier_uniform_(weight)
            nn.init.zeros_(bias)
        for part in self.after.modules():
            if isinstance(part, nn.BatchNorm1d):
                part.reset_parameters()
            elif isinstance(part, nn.PReLU):
                nn.init.constant_(part.weight, 0.25)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """States of nodes [N, d]."""
        size = len(x)
        if edge_weight is None:  # a graph that comes again, as in DGI, is sorted once
            adj = self._memo(lambda: summing(edge_index, size, loops=True).normalize("sym"), (edge_index,), size)
        else:
            adj = summing(edge_index, size, edge_weight, loops=True).normalize("sym")
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = spmm(adj, x @ weight) + bias
            if layer < len(self.after):
                x = self.after[layer](x)
        return x


class GIN(nn.Module):
    """H_l = bn(relu(MLP_l(H_{l-1} + A H_{l-1}))), MLP of one hidden layer; [N, F] -> [N, d].

    ``concat=True``: all layers side by side, d = layers * hidden, as InfoGraph has it. ``concat=False``: relu(bn(.)),
    the last layer without relu and alone, d = hidden, as AD-GCL has it. A is weighted by ``edge_weight`` [E] or 1, and
    differentiable in it, which :class:`torch_geometric.nn.GINConv` is not. Xu et al., GIN (ICLR 2019).

    Args:
        in_channels: F.
        hidden: width of a layer.
        layers: number of layers.
        concat: see above.
    """

    def __init__(self, in_channels: int, hidden: int = 32, layers: int = 3, concat: bool = True) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}.")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}.")
        self.in_channels, self.out_channels = in_channels, hidden * (layers if concat else 1)
        self.concat = concat
        widths = [in_channels] + [hidden] * layers
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, b)) for a, b in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in range(layers))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights Xavier-uniform, biases 0, normalisations as new."""
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)
            elif isinstance(part, nn.BatchNorm1d):
                part.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """States of nodes [N, d]."""
        adj = summing(edge_index, len(x), edge_weight)
        states: list[Tensor] = []
        for mlp, norm in zip(self.mlps, self.norms, strict=True):
            x = mlp(x + spmm(adj, x))
            if self.concat:
                x = norm(torch.relu(x))
            else:
                x = norm(x) if len(states) + 1 == len(self.mlps) else torch.relu(norm(x))
            states.append(x)
        return torch.cat(states, 1) if self.concat else x


def summing(edge_index: Tensor, size: int, weight: Tensor | None = None, loops: bool = False) -> Adjacency:
    """The graph whose product sums messages: A[target, source] = weight; ``loops``: every node has one, of
    the weight that it has there or of 1."""
    source, target = edge_index
    if loops:
        apart = (source != target).nonzero()[:, 0]
        own = torch.arange(size, device=source.device)
        source, target = (torch.cat([ends.index_select(0, apart), own]) for ends in (source, target))
        if weight is not None:
            loop = (edge_index[0] == edge_index[1]).nonzero()[:, 0]
            kept = weight.new_ones(size).index_put((edge_index[0].index_select(0, loop),), weight.index_select(0, loop))
            weight = torch.cat([weight.index_select(0, apart), kept])
    return Adjacency.from_edges(target, source, size, size, weight)
