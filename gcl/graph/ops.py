"""The registered operators ``gcl::spmm``, ``gcl::sddmm`` and ``gcl::propagate``: gradients, fake kernels, compilation.

A sparse matrix A [R, C] travels as plain tensors, so that it can be traced: ``indptr`` [R + 1], ``indices`` [E],
``values`` [E]. Gradients need its transpose as well: ``t_indptr`` [C + 1], ``t_indices`` [E], and ``transpose`` [E],
the position in A of every edge of A^T (None: A^T has the same values in the same places, A being symmetric).

    y = A x            dx = A^T dy                  dvalues = sddmm(dy, x)
    s = sddmm(a, b)    da = A(ds) b                 db = A(ds)^T a          s_e = a[row_e] . b[column_e]

Backward passes call the registered operators again, so that they compile too, but without a transpose: gradients are
of first order, and differentiating a backward pass is an error.
"""

from typing import Any

import torch
from torch import Tensor

from gcl.graph import kernels

Gradients = tuple[Tensor | None, ...]


def _first_order() -> RuntimeError:
    return RuntimeError(
        "the sparse products of gcl.graph have gradients of first order only: a backward pass through them cannot be "
        "differentiated again (create_graph=True followed by a second backward pass)."
    )


@torch.library.custom_op("gcl::spmm", mutates_args=())
def spmm(
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    x: Tensor,
    t_indptr: Tensor | None = None,
    t_indices: Tensor | None = None,
    transpose: Tensor | None = None,
) -> Tensor:
    """A x, [R, C] @ [C, d] -> [R, d]; differentiable in ``values`` and ``x`` where the transpose is given."""
    return kernels.multiply(indptr, indices, values, x)


@spmm.register_fake
def _spmm_fake(indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, *transposed: Tensor | None) -> Tensor:
    return x.new_empty(indptr.shape[0] - 1, x.shape[1])


def _spmm_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    indptr, indices, values, x, *transposed = inputs
    ctx.value_type = values.dtype
    ctx.save_for_backward(indptr, indices, values, x if ctx.needs_input_grad[2] else None, *transposed)


def _spmm_backward(ctx: Any, grad: Tensor) -> Gradients:
    indptr, indices, values, x, t_indptr, t_indices, transpose = ctx.saved_tensors
    if t_indptr is None:
        raise _first_order()
    to_values = to_x = None
    if ctx.needs_input_grad[2]:
        to_values = sddmm(indptr, indices, grad, x).to(ctx.value_type)
    if ctx.needs_input_grad[3]:
        moved = values if transpose is None else values.index_select(0, transpose)
        to_x = spmm(t_indptr, t_indices, moved, grad)
    return None, None, to_values, to_x, None, None, None


spmm.register_autograd(_spmm_backward, setup_context=_spmm_setup)


@torch.library.custom_op("gcl::sddmm", mutates_args=())
def sddmm(
    indptr: Tensor,
    indices: Tensor,
    a: Tensor,
    b: Tensor,
    t_indptr: Tensor | None = None,
    t_indices: Tensor | None = None,
    transpose: Tensor | None = None,
) -> Tensor:
    """a[row] . b[column] of every edge, [R, d], [C, d] -> [E]; differentiable where the transpose is given."""
    return kernels.sample(indptr, indices, a, b)


@sddmm.register_fake
def _sddmm_fake(indptr: Tensor, indices: Tensor, a: Tensor, b: Tensor, *transposed: Tensor | None) -> Tensor:
    return a.new_empty(indices.shape[0], dtype=kernels.compute_type(a, b))


def _sddmm_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _sddmm_backward(ctx: Any, grad: Tensor) -> Gradients:
    indptr, indices, a, b, t_indptr, t_indices, transpose = ctx.saved_tensors
    if transpose is None:
        raise _first_order()
    to_a = to_b = None
    if ctx.needs_input_grad[2]:
        to_a = spmm(indptr, indices, grad, b).to(a.dtype)
    if ctx.needs_input_grad[3]:
        to_b = spmm(t_indptr, t_indices, grad.index_select(0, transpose), a).to(b.dtype)
    return None, None, to_a, to_b, None, None, None


sddmm.register_autograd(_sddmm_backward, setup_context=_sddmm_setup)


@torch.library.custom_op(
    "gcl::propagate",
    mutates_args=(),
    schema="(Tensor indptr, Tensor indices, Tensor values, Tensor x, int layers) -> Tensor[]",
)
def propagate(indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, layers: int) -> list[Tensor]:
    """A x, A^2 x .. A^L x for a symmetric A [N, N] with constant values; differentiable in ``x`` [N, d].

    The backward is Horner's rule on the same matrix: y <- g_L; y <- g_k + A y for k = L - 1 .. 1; dx = A y.
    """
    out = [kernels.multiply(indptr, indices, values, x)]
    while len(out) < layers:
        out.append(kernels.multiply(indptr, indices, values, out[-1]))
    return out


@propagate.register_fake
def _propagate_fake(indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor, layers: int) -> list[Tensor]:
    return [x.new_empty(x.shape) for _ in range(layers)]


def _propagate_setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:3])


def _propagate_backward(ctx: Any, grads: list[Tensor | None]) -> Gradients:
    indptr, indices, values = ctx.saved_tensors
    y: Tensor | None = None
    for grad in reversed(grads):
        if y is None:
            y = grad
            continue
        y = spmm(indptr, indices, values, y)
        if grad is not None:
            y += grad  # in place: a fresh table costs as much as the sum
    return None, None, None, None if y is None else spmm(indptr, indices, values, y), None


propagate.register_autograd(_propagate_backward, setup_context=_propagate_setup)
