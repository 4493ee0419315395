"""Rows by id: values, the sum of gradients over repeated ids, shapes, ids out of range."""

import pytest
import torch
import torch.nn.functional as F

from gcl.graph import look_up


@pytest.mark.parametrize("shape", [(7,), (5, 3), (0,), (4, 0), ()])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_values_and_gradient_are_those_of_embedding(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(6, 4, generator=generator).to(dtype).requires_grad_()
    ids = torch.randint(0, 6, shape, generator=generator)
    grad = torch.randn(*shape, 4, generator=generator).to(dtype)
    ours, theirs = look_up(table, ids), F.embedding(ids, table)
    assert torch.equal(ours, theirs)
    (mine,) = torch.autograd.grad(ours, table, grad)
    (other,) = torch.autograd.grad(theirs, table, grad)
    assert torch.allclose(mine, other, rtol=1e-2 if dtype == torch.float16 else 0.0, atol=0.0)


def test_gradient_counts_every_place() -> None:
    table = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    look_up(table, torch.tensor([[2, 0], [2, 2]])).sum().backward()
    assert table.grad is not None
    assert table.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [3.0, 3.0]]


@pytest.mark.parametrize("bad", [-1, 3])
def test_id_that_is_no_row(bad: int) -> None:
    with pytest.raises(IndexError):
        look_up(torch.zeros(3, 2), torch.tensor([0, bad]))


@pytest.mark.gpu
def test_on_a_gpu_as_on_the_cpu() -> None:
    table = torch.randn(6, 4, dtype=torch.float64)
    ids = torch.tensor([[5, 0], [5, 2]])
    assert torch.equal(look_up(table.cuda(), ids.cuda()).cpu(), look_up(table, ids))
