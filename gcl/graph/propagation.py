"""Functions of a graph and dense tables."""

from torch import Tensor

from gcl.graph import ops
from gcl.graph.adjacency import Adjacency


def propagate(adj: Adjacency, x: Tensor, layers: int) -> tuple[Tensor, ...]:
    """Layers 1 .. L of A x, A^2 x ..: L tensors [N, d]; layer 0 is ``x`` itself and is not among them.

    One operator with one Horner backward where A is symmetric with constant values; else a product a layer.
    Linear propagation of LightGCN (He et al., SIGIR 2020).
    """
    if layers < 1:
        raise ValueError(f"layers must be at least 1, got {layers}.")
    if adj.num_rows != adj.num_cols:
        raise ValueError(f"propagate needs a square graph, got {adj.num_rows} x {adj.num_cols}.")
    if adj.symmetric and not adj.values.requires_grad:
        adj.check_operand("x", x, adj.num_cols)
        return tuple(ops.propagate(adj.indptr, adj.indices, adj.values, x, layers))
    out = [adj.forward(x)]
    while len(out) < layers:
        out.append(adj.forward(out[-1]))
    return tuple(out)


def spmm(adj: Adjacency, x: Tensor) -> Tensor:
    """A x, [R, C] @ [C, d] -> [R, d]; differentiable in x and in the values.

    The same as ``adj @ x``, and the form to write in compiled code: torch.compile does not trace ``@`` on a module.
    """
    return adj.forward(x)


def sddmm(adj: Adjacency, a: Tensor, b: Tensor) -> Tensor:
    """a[row_e] . b[column_e] of every edge, [R, d], [C, d] -> [E]; differentiable in a and b.

    The scores of edges from the representations of their ends, without a tensor [E, d].
    """
    adj.check_operand("a", a, adj.num_rows)
    adj.check_operand("b", b, adj.num_cols)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"a and b must have equal width, got {a.shape[1]} and {b.shape[1]}.")
    return ops.sddmm(adj.indptr, adj.indices, a, b, *adj.transposed)
