"""The one sparse operator class: a fixed structure, replaceable values."""

from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor, nn

from gcl.data import TrainInteractions
from gcl.errors import InputError
from gcl.graph import ops
from gcl.graph.structure import Structure, bipartite, general

if TYPE_CHECKING:
    from torch_geometric.data import Data

Normalization = Literal["sym", "row"]


class Adjacency(nn.Module):
    """Weighted graph as a sparse matrix A [R, C] of E edges: ``adj @ x`` is A x, differentiable in x and in the values.

    Plain tensors in CSR order, all of them non-persistent buffers (a graph is rebuilt from data, not from a state
    dict): ``indptr`` [R + 1], ``indices`` [E], ``row`` [E] int32; ``values`` [E] float; ``transpose`` [E] int32, the
    position of every edge of A^T (``values[transpose]`` are the values of A^T in its CSR order); ``undirected`` [E]
    int32, the number of the undirected edge below ``num_undirected``; ``weights`` [E], the values before the last
    normalisation. Graphs that differ in values share the rest.

    ``symmetric`` says that A equals its transpose, values included: the gradient of x then is the same product.
    Gradients are of first order. Sums are taken in float32 at least and returned in the type of x.
    """

    indptr: Tensor
    indices: Tensor
    row: Tensor
    values: Tensor
    weights: Tensor
    transpose: Tensor
    undirected: Tensor
    t_indptr: Tensor | None
    t_indices: Tensor | None

    def __init__(self, structure: Structure, values: Tensor, symmetric: bool = False) -> None:
        super().__init__()
        if symmetric and not structure.mirrored:
            raise ValueError("symmetric must be False for a graph in which some edge lacks its reverse.")
        for name in ("indptr", "indices", "row", "transpose", "undirected", "t_indptr", "t_indices"):
            self.register_buffer(name, getattr(structure, name), persistent=False)
        self.register_buffer("values", values, persistent=False)
        self.register_buffer("weights", values, persistent=False)
        self.num_rows: int = structure.indptr.numel() - 1
        self.num_cols: int = structure.num_cols
        self.num_undirected: int = structure.num_undirected
        self.symmetric = symmetric
        self.normalization: Normalization | None = None

    @classmethod
    def bipartite(cls, train: TrainInteractions) -> Self:
        """Graph of the training part: N = U + I nodes, users first; an edge of value 1 each way an interaction.

        The undirected number of an edge is the position of its interaction ordered by user, then item.

        Raises:
            TypeError: for anything but TrainInteractions, so that no valid or test edge can enter.
        """
        if not isinstance(train, TrainInteractions):
            raise TypeError(f"a bipartite graph is built from TrainInteractions alone, got {type(train).__name__}.")
        made = bipartite(train)
        return cls(made, torch.ones(made.indices.numel(), device=train.user.device), symmetric=True)

    @classmethod
    def from_edges(cls, row: Tensor, col: Tensor, num_rows: int, num_cols: int, values: Tensor | None = None) -> Self:
        """Graph of E edges: A[row_e, col_e] = values_e, 1 without ``values``; equal edges stay apart and add up.

        Shapes: ``row``, ``col`` [E] integers; ``values`` [E] float. Whether A is symmetric is found out.
        """
        made, order = general(row, col, num_rows, num_cols)
        if values is None:
            values = torch.ones(row.numel(), device=row.device)
        if values.shape != row.shape or not values.is_floating_point():
            raise ValueError(
                f"values must be floats, one an edge, {tuple(row.shape)}, got {values.dtype} {tuple(values.shape)}."
            )
        values = values.index_select(0, order)
        mirrored = made.mirrored and torch.equal(values, values.index_select(0, made.transpose))
        return cls(made, values, symmetric=mirrored)

    @classmethod
    def from_pyg(cls, data: "Data") -> Self:
        """Graph of a torch_geometric ``Data``: A[target, source] = ``edge_weight`` or 1: A x sums messages.

        Raises:
            InputError: where it has no ``edge_index``.
        """
        edges = getattr(data, "edge_index", None)
        if edges is None:
            raise InputError(f"data must be a torch_geometric Data with edge_index, got {type(data).__name__} without.")
        size = int(data.num_nodes or 0)
        return cls.from_edges(edges[1], edges[0], size, size, getattr(data, "edge_weight", None))

    def to_pyg(self) -> "Data":
        """The graph as torch_geometric ``Data`` with ``edge_index`` [2, E] (source, target) and ``edge_weight`` [E]."""
        from torch_geometric.data import Data

        if self.num_rows != self.num_cols:
            raise ValueError(f"only a square graph can be a Data, got {self.num_rows} x {self.num_cols}.")
        edges = torch.stack([self.indices.long(), self.row.long()])
        return Data(edge_index=edges, edge_weight=self.values, num_nodes=self.num_rows)

    @property
    def num_edges(self) -> int:
        """Number of directed edges E."""
        return self.indices.numel()

    @property
    def transposed(self) -> tuple[Tensor, Tensor, Tensor]:
        """The transpose's ``indptr`` and ``indices``, and ``transpose``."""
        if self.t_indptr is None or self.t_indices is None:
            return self.indptr, self.indices, self.transpose
        return self.t_indptr, self.t_indices, self.transpose

    def __matmul__(self, x: Tensor) -> Tensor:
        """A x, [R, C] @ [C, d] -> [R, d]."""
        return self.forward(x)

    def forward(self, x: Tensor) -> Tensor:
        """A x, [R, C] @ [C, d] -> [R, d]."""
        self.check_operand("x", x, self.num_cols)
        t_indptr, t_indices, transpose = self.transposed
        moved = None if self.symmetric else transpose
        return ops.spmm(self.indptr, self.indices, self.values, x, t_indptr, t_indices, moved)

    def with_values(self, values: Tensor, symmetric: bool = False) -> Self:
        """The same structure with other values [E]; ``symmetric`` promises that reverse edges have equal values."""
        if values.shape != self.indices.shape:
            raise ValueError(f"values must be one an edge, {tuple(self.indices.shape)}, got {tuple(values.shape)}.")
        if symmetric and self.t_indptr is not None:
            raise ValueError("symmetric must be False for a graph in which some edge lacks its reverse.")
        return self._sharing(values, values, symmetric, None)

    def scaled(self, factor: Tensor, renormalize: bool = False, symmetric: bool = False) -> Self:
        """The same graph with every edge's weight times ``factor`` [E]; a mask, say.

        ``renormalize``: the weights before normalisation are scaled, and normalised again as this graph was; else the
        normalised values are. ``symmetric`` promises equal factors for reverse edges, and keeps a symmetric graph so.
        """
        weights, symmetric = self.weights * factor, symmetric and self.symmetric
        if renormalize and self.normalization is not None:
            return self._sharing(weights, weights, symmetric, None).normalize(self.normalization)
        values = weights if self.weights is self.values else self.values * factor
        return self._sharing(values, weights, symmetric, self.normalization)

    def normalize(self, kind: Normalization) -> Self:
        """``sym``: D^-1/2 A D^-1/2 by row sums D, those of columns on the right of a rectangular A; ``row``: D^-1 A.

        Differentiable in the values. The inverse of a sum that is not positive is 0. A square graph that is not
        symmetric has its row sums on both sides, as ``gcn_norm`` of torch_geometric has.
        """
        if kind not in ("sym", "row"):
            raise ValueError(f"kind must be 'sym' or 'row', got {kind!r}.")
        if kind == "row":
            values = self.values * _power(self.degree(), -1.0).index_select(0, self.row)
            return self._sharing(values, self.values, False, kind)
        left = _power(self.degree(), -0.5)
        right = left if self.num_rows == self.num_cols else _power(self.column_degree(), -0.5)
        values = self.values * left.index_select(0, self.row) * right.index_select(0, self.indices)
        return self._sharing(values, self.values, self.symmetric, kind)

    def degree(self) -> Tensor:
        """Sum of the values of every row, [R]."""
        return torch.segment_reduce(self.values, "sum", offsets=self.indptr)

    def column_degree(self) -> Tensor:
        """Sum of the values of every column, [C]."""
        t_indptr, _, transpose = self.transposed
        return torch.segment_reduce(self.values.index_select(0, transpose), "sum", offsets=t_indptr)

    def check_operand(self, name: str, x: Tensor, rows: int) -> None:
        """An error where ``x`` is not a matrix of that many rows."""
        if x.dim() != 2 or x.shape[0] != rows:
            raise ValueError(
                f"{name} must be [{rows}, d] for a graph {self.num_rows} x {self.num_cols}, got {tuple(x.shape)}."
            )

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.num_rows} x {self.num_cols}, edges={self.num_edges}, symmetric={self.symmetric}"

    def _sharing(self, values: Tensor, weights: Tensor, symmetric: bool, normalization: Normalization | None) -> Self:
        """A shell of its own around the same structure buffers: a view is drawn every step, so this costs nothing."""
        new: Any = object.__new__(type(self))
        new.__dict__ = self.__dict__.copy()
        new._buffers = {**self._buffers, "values": values, "weights": weights}
        new.symmetric, new.normalization = symmetric, normalization
        return new


def _power(degree: Tensor, exponent: float) -> Tensor:
    """degree ** exponent, 0 where the degree is not positive, with a zero gradient there."""
    positive = degree > 0
    return torch.where(positive, degree, 1.0) ** exponent * positive
