"""Mean of the layers of Â x and its gradient, in the forms that are in use."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.systems.gowalla import forget, train
from gcl.graph import Adjacency, propagate

Forward = Callable[[Tensor], list[Tensor]]


def gcl(adj: Adjacency, layers: int) -> Forward:
    """One operator with one Horner backward."""
    return lambda x: list(propagate(adj, x, layers))


def repeated(product: Callable[[Tensor], Tensor], layers: int) -> Forward:
    """A product a layer, each with its own backward."""

    def forward(x: Tensor) -> list[Tensor]:
        out = [product(x)]
        while len(out) < layers:
            out.append(product(out[-1]))
        return out

    return forward


def coo(adj: Adjacency, layers: int) -> Forward:
    """``torch.sparse.mm`` of a COO tensor: SELFRec, SSLRec, RecBole."""
    size = (adj.num_rows, adj.num_cols)
    matrix = torch.sparse_coo_tensor(torch.stack([adj.row.long(), adj.indices.long()]), adj.values, size).coalesce()
    return repeated(lambda x: torch.sparse.mm(matrix, x), layers)


def csr(adj: Adjacency, layers: int) -> Forward:
    """``torch.sparse.mm`` of a CSR tensor with torch's own gradient, which transposes it in every backward."""
    size = (adj.num_rows, adj.num_cols)
    matrix = torch.sparse_csr_tensor(adj.indptr, adj.indices, adj.values, size, check_invariants=True)
    return repeated(lambda x: torch.sparse.mm(matrix, x), layers)


def lgconv(adj: Adjacency, layers: int) -> Forward:
    """``LGConv`` of torch_geometric on ``edge_index``, normalised once beforehand."""
    from torch_geometric.nn import LGConv

    conv, data = LGConv(normalize=False), adj.to_pyg()
    return repeated(lambda x: conv(x, data.edge_index, data.edge_weight), layers)


FORMS: dict[str, Callable[[Adjacency, int], Forward]] = {"gcl": gcl, "csr": csr, "coo": coo, "lgconv": lgconv}


def step(forward: Forward, x: Tensor, gradient: Tensor) -> Tensor:
    """Mean of layers 0 .. L of x, and the gradient of x for a given gradient of the mean."""
    layers = [x, *forward(x)]
    mean = sum(layers[1:], layers[0]) / len(layers)
    (found,) = torch.autograd.grad(mean, x, gradient)
    return found


def propagate_task(job: dict[str, Any]) -> Callable[[], object]:
    """Forward and backward on gowalla."""
    adj = Adjacency.bipartite(train()).normalize("sym")
    forward = FORMS[job["form"]](adj, job["layers"])
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(adj.num_rows, job["dim"], generator=generator).requires_grad_()
    gradient = torch.randn(adj.num_rows, job["dim"], generator=generator)
    forget()
    return lambda: step(forward, x, gradient)
