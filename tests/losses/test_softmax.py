"""Log-ratio objectives: check values, references, relations."""

import math

import pytest
import torch

from gcl.errors import InputError
from gcl.losses import Contrast, InfoNCE
from gcl.losses.functional import partition as module
from tests.losses.reference import cosines, info_nce_row, mean, same


def test_check_values(eye, collapsed):
    assert InfoNCE(0.5)(eye, eye).item() == pytest.approx(0.340753, abs=1e-6)
    assert InfoNCE(0.5)(collapsed, collapsed).item() == pytest.approx(math.log(4), abs=1e-9)
    nt_xent = Contrast(temperature=0.5, negatives="both", forward=0.5)
    assert nt_xent(eye, eye).item() == pytest.approx(0.594438, abs=1e-6)
    assert nt_xent(collapsed, collapsed).item() == pytest.approx(1.945910, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.01, 0.2, 10.0])
@pytest.mark.parametrize("ids", [None, [0, 1, 1, 2, 3, 4, 5, 5, 0]])
@pytest.mark.parametrize("streamed", [False, True])
def test_info_nce_is_its_formula(views, temperature, ids, streamed, monkeypatch):
    if streamed:
        monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
        monkeypatch.setitem(module.TILE, "cpu", 20)
        monkeypatch.setattr(module, "LEAST_ROWS", 1)
    z1, z2 = views[0][:6], views[1]
    key = list(range(9)) if ids is None else ids

    def naive(a, b):
        s = cosines(a, b)
        return mean([info_nce_row(s[i], i, [j for j in range(9) if key[j] != key[i]], temperature) for i in range(6)])

    loss = InfoNCE(temperature)
    tensor = None if ids is None else torch.tensor(ids)
    same(lambda a, b: loss(a, b, tensor), naive, z1, z2, rtol=1e-7)


@pytest.mark.parametrize("streamed", [False, True])
def test_both_directions_and_both_views(views, streamed, monkeypatch):
    if streamed:
        monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
    z1, z2 = views[0], views[1]

    def naive(a, b):
        z = torch.cat([a, b])
        s = cosines(z, z)
        return mean([info_nce_row(s[i], (i + 9) % 18, [k for k in range(18) if k not in (i, (i + 9) % 18)], 0.3)
                     for i in range(18)])  # fmt: skip

    same(Contrast(temperature=0.3, negatives="both", forward=0.5), naive, z1, z2)


def test_margin_moves_the_positive_only(views):
    z1, z2, _ = views

    def naive(a, b):
        s = cosines(a, b) - 0.1 * torch.eye(9, dtype=a.dtype)
        return mean([info_nce_row(s[i], i, [j for j in range(9) if j != i], 0.2) for i in range(9)])

    same(InfoNCE(0.2, margin=0.1), naive, z1, z2)


def test_a_learnable_temperature_gets_its_gradient(views):
    z1, z2, _ = views
    loss = InfoNCE({"name": "learnable", "value": 0.5}).build(9, 5).double()
    loss(z1, z2).backward()
    (parameter,) = loss.parameters()
    h = 1e-6
    values = [InfoNCE(0.5 * math.exp(-step))(z1, z2).item() for step in (h, -h)]
    assert parameter.grad.item() == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5)


@pytest.mark.parametrize("similarity", ["dot", "square_euclidean", "euclidean", "angular", "power"])
def test_similarities_agree_with_their_matrix(similarity, views):
    z1, z2, _ = views
    loss = InfoNCE(0.7, similarity=similarity)
    s = loss.similarity.matrix(z1, z2)
    torch.testing.assert_close(loss.similarity.pair(z1, z2), s.diagonal(), rtol=1e-9, atol=1e-9)
    expected = torch.nn.functional.cross_entropy(s / 0.7, torch.arange(9))
    torch.testing.assert_close(loss(z1, z2), expected, rtol=1e-8, atol=1e-8)


def test_bilinear_starts_as_dot_and_is_trained(views):
    z1, z2, _ = views
    loss = InfoNCE(1.0, similarity="bilinear").build(9, 5).double()
    torch.testing.assert_close(loss(z1, z2), InfoNCE(1.0, similarity="dot")(z1, z2))
    loss(z1, z2).backward()
    assert loss.similarity.weight.grad.abs().sum() > 0


def test_no_negatives_is_zero_attached_to_the_graph(views):
    z1, z2 = views[0].clone().requires_grad_(), views[1]
    value = InfoNCE(0.2)(z1, z2, torch.zeros(9, dtype=torch.long))
    value.backward()
    assert value.item() == 0 and bool((z1.grad == 0).all())
    assert InfoNCE(0.2)(z1[:1], z2[:1]).item() == 0
    assert InfoNCE(0.2)(z1[:0], z2[:0]).item() == 0


def test_rows_without_negatives_are_left_out_where_the_formula_needs_one(views):
    z1, z2, _ = views
    loss = Contrast(kernel="negatives")
    ids = torch.zeros(9, dtype=torch.long)
    assert loss.rows(z1, z2, ids).numel() == 0 and loss(z1, z2, ids).item() == 0


def test_build_gives_each_owner_its_own_state():
    shared = InfoNCE("learnable")
    first, second = shared.build(4, 4), shared.build(4, 4)
    with torch.no_grad():
        next(first.parameters()).fill_(0.0)
    assert next(second.parameters()).item() == pytest.approx(-math.log(0.07))


def test_arguments_rebuild_the_objective():
    loss = InfoNCE(temperature=0.3, similarity={"name": "power", "gamma": 0.5})
    assert InfoNCE(**loss.arguments).describe() == loss.describe()
    assert "PowerKernel(gamma=0.5" in loss.describe()["similarity"]


def test_errors(views):
    z1, z2, _ = views
    with pytest.raises(ValueError, match="temperature must be a positive number, got 0"):
        InfoNCE(0)
    with pytest.raises(InputError, match="similarity must be a name.*Did you mean 'cosine'"):
        InfoNCE(similarity="cosin")
    with pytest.raises(ValueError, match="negatives must be cross, within, both or none, got 'all'"):
        Contrast(negatives="all")
    with pytest.raises(ValueError, match=r"forward must be a weight in \[0, 1\], got 2"):
        Contrast(forward=2)
    with pytest.raises(ValueError, match=r"gamma must be in \(0, 2\], got 3"):
        Contrast(similarity={"name": "power", "gamma": 3})
    with pytest.raises(ValueError, match="m must be an angle"):
        Contrast(margin={"name": "angular", "m": 4})
    with pytest.raises(RuntimeError, match="Bilinear has no weights yet: call objective.build"):
        InfoNCE(similarity="bilinear")(z1, z2)
