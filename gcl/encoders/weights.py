"""Weights of edges that act on every convolution of torch_geometric, also on those that know none."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gcl.errors import InputError


@contextmanager
def edge_weights(encoder: nn.Module, edge_index: Tensor, weight: Tensor) -> Iterator[None]:
    """Within the context the message of edge e is times ``weight[e]`` in every message passing layer of ``encoder``.

    Differentiable in ``weight`` [E]. Ones change nothing; an edge of weight 0 is no edge to a convolution that sums.
    Degrees and counts stay those of all edges: GCN does not renormalise, and a mean still divides by every neighbour,
    so that GCN's own ``edge_weight`` is another thing. Attention is weighted after its softmax. Self-loops that a
    convolution adds have weight 1; where it replaces those of ``edge_index`` they keep theirs.

    Args:
        encoder: any module with :class:`torch_geometric.nn.MessagePassing` in it.
        edge_index: [2, E], as the encoder is called with, never a sparse tensor: its fused product makes no messages.
        weight: [E].

    Raises:
        ValueError: weights of another number than edges, or, when a layer runs, messages over other edges.
        InputError: an encoder without such a layer, on which weights would not act.
    """
    from torch_geometric.nn import MessagePassing

    if weight.shape != edge_index.shape[1:]:
        raise ValueError(f"weight must be one an edge, [{edge_index.shape[1]}], got {tuple(weight.shape)}.")
    layers = [layer for layer in encoder.modules() if isinstance(layer, MessagePassing)]
    if not layers:
        raise InputError(
            f"{type(encoder).__name__} would ignore weights of edges: it has no layer of torch_geometric and no "
            "argument edge_weight; give its forward one, or take data.edge_weight away."
        )
    with ExitStack() as stack:
        for layer in layers:
            for hook in _hooks(layer, edge_index, weight):
                stack.callback(hook.remove)
        yield


def _hooks(layer: Any, edge_index: Tensor, weight: Tensor) -> list[Any]:
    """One that notes which edges a layer sends along, and one that weighs its messages."""
    now: list[Tensor] = []

    def look(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        now[:] = [_aligned(inputs[0], edge_index, weight)]

    def weigh(module: Any, _: tuple[Any, ...], out: Tensor) -> Tensor:
        shape = [1] * out.dim()
        shape[module.node_dim] = -1
        return out * now[0].view(shape)

    return [layer.register_propagate_forward_pre_hook(look), layer.register_message_forward_hook(weigh)]


def _aligned(sent: Tensor, edge_index: Tensor, weight: Tensor) -> Tensor:
    """Weights of the edges a layer sends along: those given, or the proper ones and then a loop a node."""
    if sent.shape == edge_index.shape and torch.equal(sent, edge_index):
        return weight
    proper = edge_index[0] != edge_index[1]
    head = int(proper.sum())
    if sent.shape[1] >= head and torch.equal(sent[:, :head], edge_index[:, proper]):
        rest = sent[:, head:]
        if bool((rest[0] == rest[1]).all()):
            own = weight.new_ones(int(rest[0].max()) + 1 if rest.numel() else 0)
            own = own.index_put((edge_index[0, ~proper],), weight[~proper])
            return torch.cat([weight.masked_select(proper), own.index_select(0, rest[0])])
    raise ValueError(
        f"edge_weights needs layers that send along the edges they are given, with or without loops; got "
        f"{sent.shape[1]} messages for {edge_index.shape[1]} edges. Give such a layer its own weights."
    )
