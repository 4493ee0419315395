"""Five regularisers that differ, on hand-made rows."""

import pytest
import torch

from gcl.losses import regularisation as reg

A, B = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[1.0, 2.0], [2.0, 0.0]])


def test_values_by_hand():
    assert reg.ego_square_sum(A, B).item() == pytest.approx(0.5 * (25 + 9))
    assert reg.ego_square(A, B).item() == pytest.approx(0.5 * (25 + 9) / 2)
    assert reg.norm_per_row(A, B).item() == pytest.approx(5 / 2 + 3 / 2)
    assert reg.embedding_norm(A, B).item() == pytest.approx((5 + 3) / 2)
    assert reg.all_parameters_square([A, B]).item() == pytest.approx(25 + 9)


def test_several_negatives_count_in_the_sum_and_not_in_the_batch():
    negatives = torch.ones(2, 3, 2)
    assert reg.ego_square(A, negatives).item() == pytest.approx(0.5 * (25 + 12) / 2)


@pytest.mark.parametrize("name", ["ego_square", "ego_square_sum", "norm_per_row", "embedding_norm"])
def test_zero_rows_have_a_finite_gradient(name):
    x = torch.zeros(3, 2, requires_grad=True)
    getattr(reg, name)(x).backward()
    assert bool((x.grad == 0).all())


def test_no_parameters_is_an_error():
    with pytest.raises(ValueError, match="needs at least one parameter"):
        reg.all_parameters_square([])


@pytest.mark.parametrize("name", ["norm_per_row", "embedding_norm"])
def test_norms_have_the_gradients_of_torch(name):
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(*s, dtype=torch.float64, generator=generator, requires_grad=True) for s in ((4, 3), (4, 2, 3))]
    assert torch.autograd.gradcheck(getattr(reg, name), rows)
    assert torch.autograd.gradgradcheck(getattr(reg, name), rows)
    (ours,) = torch.autograd.grad(reg.embedding_norm(rows[0]), rows[0])
    (theirs,) = torch.autograd.grad(torch.linalg.matrix_norm(rows[0]) / 4, rows[0])
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0.0)
