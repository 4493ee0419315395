"""The arithmetic of the sparse products: which library function computes them, on which device, in which precision.

A matrix is three plain tensors: ``indptr`` [R + 1] and ``indices`` [E] of int32, ``values`` [E]. Sums are taken in the
wider of the two types and never below float32: there is no bfloat16 CSR product on the CPU, and 16-bit sums over a
popular item's edges lose its neighbours.
"""

import platform
import warnings
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

GATHER_ELEMENTS = 1 << 22
"""Elements of the buffer that the fallback of the sampled product gathers at once (16 MB of float32)."""


def has_csr(device: torch.device) -> bool:
    """Whether torch has CSR products on this device: CUDA (cuSPARSE), and the CPU where torch was built with MKL."""
    return device.type == "cuda" or (device.type == "cpu" and torch.backends.mkl.is_available())


def prefers_csr(device: torch.device) -> bool:
    """Whether the CSR product is there and is the fast one.

    MKL is written for Intel: on an AMD EPYC the same sums by ``F.embedding_bag`` take a third of its time (gowalla,
    d = 64), where on Intel they take twice as long. The choice is by vendor, never by a measurement, so that equal
    machines give equal bits.
    """
    return has_csr(device) and (device.type == "cuda" or _intel())


def compute_type(*operands: Tensor) -> torch.dtype:
    """The widest type of the operands, float32 at least."""
    widest = torch.float32
    for operand in operands:
        widest = torch.promote_types(widest, operand.dtype)
    return widest


def multiply(indptr: Tensor, indices: Tensor, values: Tensor, x: Tensor) -> Tensor:
    """Sparse times dense, [R, C] @ [C, d] -> [R, d] in the type of ``x``."""
    kind = compute_type(values, x)
    weights, table = values.detach().to(kind), x.detach().to(kind).contiguous()
    if prefers_csr(x.device):
        return (_csr(indptr, indices, weights, x.shape[0]) @ table).to(x.dtype)
    if not indices.numel() or not x.shape[1]:
        return x.new_zeros(indptr.numel() - 1, x.shape[1])
    bags = F.embedding_bag(indices, table, indptr, mode="sum", per_sample_weights=weights, include_last_offset=True)
    return bags.to(x.dtype)


def sample(indptr: Tensor, indices: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Dot products a[row] . b[column] of every edge, [R, d], [C, d] -> [E]; no tensor [E, d] is ever made."""
    kind = compute_type(a, b)
    left, right = a.detach().to(kind).contiguous(), b.detach().to(kind).contiguous()
    if not indices.numel():
        return left.new_zeros(0)
    if has_csr(a.device):
        pattern = _csr(indptr, indices, left.new_zeros(indices.numel()), b.shape[0])
        return torch.sparse.sampled_addmm(pattern, left, right.T, beta=0.0).values()
    rows = torch.repeat_interleave(torch.arange(indptr.numel() - 1, device=a.device), indptr.diff())
    out = left.new_empty(indices.numel())
    size = max(1, GATHER_ELEMENTS // max(1, a.shape[1]))
    for start in range(0, indices.numel(), size):
        edges = slice(start, start + size)
        products = left.index_select(0, rows[edges]) * right.index_select(0, indices[edges])
        torch.sum(products, 1, out=out[edges])
    return out


def _csr(indptr: Tensor, indices: Tensor, values: Tensor, num_cols: int) -> Tensor:
    _quiet()
    size = (indptr.numel() - 1, num_cols)
    return torch.sparse_csr_tensor(indptr, indices, values, size, check_invariants=False)


@cache
def _intel() -> bool:
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "GenuineIntel" in platform.processor()


@cache
def _quiet() -> None:
    """Make the first CSR tensor of the process here, where torch's one note that the layout is in beta is not shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pointers, nothing = torch.zeros(2, dtype=torch.int32), torch.zeros(0, dtype=torch.int32)
        torch.sparse_csr_tensor(pointers, nothing, torch.zeros(0), (1, 1), check_invariants=False)
