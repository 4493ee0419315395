"""Objectives of objectives, and gradients in chunks."""

import pytest
import torch
from torch import nn

from gcl.errors import InputError
from gcl.losses import (
    BPR,
    BYOL,
    GRAM,
    AlignUniform,
    CLIPLoss,
    Contrast,
    InfoNCE,
    MVInfoNCE,
    NTXent,
    Objective,
    ParetoSum,
    PerHead,
    SigLIP,
    Sum,
    SupCon,
    SwAV,
    Symmetric,
    UncertaintySum,
    cached_backward,
)
from gcl.losses.combine import pareto_weights
from gcl.losses.slots import Ramp
from gcl.testing import check_objective
from tests.losses.reference import queue_of


def test_sum(views):
    loss = Sum([InfoNCE(0.3), {"name": "AlignUniform", "gamma": 0.5}], [1.0, 0.2])
    expected = InfoNCE(0.3)(*views[:2]) + 0.2 * AlignUniform(0.5)(*views[:2])
    torch.testing.assert_close(loss(*views[:2]), expected)
    torch.testing.assert_close(loss.terms(*views[:2])[1], AlignUniform(0.5)(*views[:2]))
    assert loss.describe() == {"kernel": "1 * InfoNCE + 0.2 * AlignUniform"}
    assert Sum(["SupCon", "Triplet"]).kind == "labelled" and Sum([BPR()]).kind == "ranking"
    assert not loss.extra and Sum([InfoNCE(), NTXent()]).extra


def test_a_sum_of_a_mean_over_valid_rows_is_not_diluted(views):
    labels = torch.tensor([0, 0, 1, 2, 3, 4, 5, 6, 7])
    torch.testing.assert_close(Sum(["SupCon"])(views[0], labels), SupCon()(views[0], labels))


def test_uncertainty(views):
    loss = UncertaintySum(["InfoNCE", "BYOL"]).double()
    with torch.no_grad():
        loss.log_variances.copy_(torch.tensor([0.3, -0.2]))
    a = loss.log_variances.detach()
    expected = (-a[0]).exp() * InfoNCE()(*views[:2]) + (-a[1]).exp() * BYOL()(*views[:2]) + a.sum()
    torch.testing.assert_close(loss(*views[:2]), expected)


def test_symmetric(views):
    expected = (SigLIP().double()(*views[:2]) + SigLIP().double()(views[1], views[0])) / 2
    torch.testing.assert_close(Symmetric("SigLIP").double()(*views[:2]), expected)
    with pytest.raises(ValueError, match="no place for further negatives"):
        Symmetric()(views[0][:3], views[1])


def test_per_head(views):
    loss = PerHead(InfoNCE(0.3, similarity="dot"), heads=3).build(9, 5).double()
    torch.testing.assert_close(loss(*views[:2]), InfoNCE(0.3, similarity="dot")(*views[:2]), rtol=1e-5, atol=1e-5)
    order = PerHead(InfoNCE(0.3), heads=3).build(9, 5).double()
    with torch.no_grad():
        order.weight.copy_(torch.randn(3, 5, 5, generator=torch.Generator().manual_seed(0)))
    before = order(*views[:2])
    with torch.no_grad():
        order.weight.copy_(order.weight.flip(0))
    torch.testing.assert_close(order(*views[:2]), before)


def test_state_of_members_is_built_and_kept(views):
    loss = Sum([{"name": "MoCo", "size": 20}, "SimSiam"]).build(9, 5).double()
    loss(*views[:2])
    assert int(queue_of(loss.members[0]).written) == 9
    assert any("predictor" in name for name in loss.state_dict())


def test_a_weight_that_moves(views):
    ramp = {"start": 0.0, "end": 2.0, "calls": 4}
    for shape, shares in (("linear", [0, 0.25, 0.5, 0.75, 1, 1]), ("cosine", [0, 0.146447, 0.5, 0.853553, 1, 1])):
        loss = Sum([InfoNCE(0.3), NTXent(0.3)], [1.0, {**ramp, "shape": shape}]).double()
        first, second = InfoNCE(0.3)(*views[:2]), NTXent(0.3)(*views[:2])
        for share in shares:
            torch.testing.assert_close(loss(*views[:2]), first + 2 * share * second, rtol=1e-5, atol=1e-6)
            assert loss.eval()(*views[:2]).item() == pytest.approx(loss(*views[:2]).item()), "evaluation moves nothing"
            loss.train()
        torch.testing.assert_close(loss.terms(*views[:2])[1], second)
    other = Sum([InfoNCE(0.3), NTXent(0.3)], [1.0, ramp]).double()
    other.load_state_dict(loss.state_dict())
    torch.testing.assert_close(other(*views[:2]), first + 2 * second)
    assert loss.describe() == {"kernel": "1 * InfoNCE + (0 to 2 over 4 calls) * NTXent"}
    with pytest.raises(ValueError, match="objective is called once a direction"):
        Symmetric(loss)
    with pytest.raises(InputError, match="weight has no argument 'stop'"):
        Sum([InfoNCE()], [{"start": 0.0, "stop": 1.0, "calls": 3}])
    with pytest.raises(InputError, match="weight needs end, calls, got start"):
        Sum([InfoNCE()], [{"start": 0.0}])
    with pytest.raises(ValueError, match="shape must be linear or cosine, got 'step'"):
        Sum([InfoNCE()], [{**ramp, "shape": "step"}])
    with pytest.raises(ValueError, match="calls must be at least 0, got -1"):
        Sum([InfoNCE()], [{**ramp, "calls": -1}])
    with pytest.raises(ValueError, match="start of a weight must be a finite number, got nan"):
        Ramp(float("nan"), 1.0, 4)
    for wrong in ("1", None):
        with pytest.raises(ValueError, match=f"weights must be numbers, mappings.*got {wrong!r}"):
            Sum([InfoNCE()], [wrong])


def test_a_ramp_in_two_places_moves_once_a_call(views):
    ramp = Ramp(0.0, 2.0, 4)
    loss, other = Sum([InfoNCE(0.3), NTXent(0.3)], [ramp, ramp]), Sum([InfoNCE(0.3)], [ramp])
    total = InfoNCE(0.3)(*views[:2]) + NTXent(0.3)(*views[:2])
    for share in (0, 0.5, 1):
        torch.testing.assert_close(loss(*views[:2]), share * total)
    assert other(*views[:2]).item() == 0, "another owner's has not moved"


def test_pareto_sum_of_constants_teaches_its_objectives(views):
    """Representations that are frozen have no say in what a learned temperature gets."""
    loss, free = ([CLIPLoss(), AlignUniform(0.5)] for _ in range(2))
    frozen, tracked = ParetoSum(loss).double(), ParetoSum(free).double()
    value = frozen(*views[:2])
    expected = tracked(*(v.clone().requires_grad_() for v in views[:2]))
    torch.testing.assert_close(value, expected)
    value.backward()
    expected.backward()
    ours, theirs = (next(p.grad for p in s.parameters()) for s in (frozen, tracked))
    torch.testing.assert_close(ours, theirs)
    assert not ParetoSum([InfoNCE(), AlignUniform()])(*views[:2]).requires_grad
    with torch.no_grad():
        assert not frozen(*views[:2]).requires_grad


def test_pareto_weights():
    g = [torch.tensor([1.0, 2.0])]

    def weights(*gradients):
        return pareto_weights(*gradients).tolist()

    assert weights(g, g) == [0.5, 0.5]
    assert weights(g, [-g[0]]) == [0.5, 0.5]
    assert weights([torch.tensor([1.0, 0.0])], [torch.tensor([0.0, 1.0])]) == [0.5, 0.5]
    assert weights([torch.tensor([1.0, 0.0])], [torch.tensor([3.0, 0.0])]) == pytest.approx([1.0, 0.0])
    share, rest = weights([torch.tensor([2.0, 0.0]), None], [torch.tensor([0.0, 1.0]), torch.zeros(1)])
    assert share == pytest.approx(0.2)
    joint = torch.tensor([2.0 * share, rest])
    for other in torch.linspace(0, 1, 21):
        assert joint.norm() <= torch.tensor([2.0 * other, 1 - other]).norm() + 1e-6


def test_pareto_weights_of_two_are_the_closed_form():
    draw = torch.Generator().manual_seed(2)
    for _ in range(50):
        g1, g2 = torch.randn(2, 6, generator=draw, dtype=torch.float64)
        share = ((g2 - g1) @ g2 / (g1 - g2).square().sum()).clamp(0, 1).item()
        assert pareto_weights([g1], [g2]).tolist() == pytest.approx([share, 1 - share])


@pytest.mark.parametrize("factor", [1e-30, 1e-24, 1e22, 1e36])
def test_pareto_weights_do_not_depend_on_the_scale_of_all(factor):
    slopes = [[torch.tensor([factor, 0.0])], [torch.tensor([0.0, 3 * factor])]]
    torch.testing.assert_close(pareto_weights(*slopes), torch.tensor([0.9, 0.1]))
    assert pareto_weights(*[[torch.zeros(2)]] * 2).tolist() == [0.5, 0.5]


def test_pareto_weights_of_many_are_the_shortest():
    """Against every point of a fine grid on the simplex."""
    g = torch.randn(3, 4, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    found = pareto_weights(*([x] for x in g), steps=5000)
    assert found.sum().item() == pytest.approx(1.0) and bool((found >= 0).all())
    grid = [torch.tensor([a, b, 50 - a - b]) / 50.0 for a in range(51) for b in range(51 - a)]
    best = min((w.double() @ g).norm().item() for w in grid)
    assert (found @ g).norm().item() <= best + 1e-4


def test_pareto_sum(views):
    parts = [InfoNCE(0.3), AlignUniform(0.5), BYOL()]
    for members in (parts[:2], parts):
        leaves = [v.clone().requires_grad_() for v in views[:2]]
        slopes = [torch.autograd.grad(m(*leaves), leaves, allow_unused=True) for m in members]
        alpha = pareto_weights(*slopes)
        loss = ParetoSum(members)
        value = loss(*leaves)
        torch.testing.assert_close(value, sum(a * m(*views[:2]) for a, m in zip(alpha, members, strict=True)))
        joint = torch.autograd.grad(value, leaves, allow_unused=True)
        for i, leaf in enumerate(leaves):
            expected = sum(
                a * (torch.zeros_like(leaf) if s[i] is None else s[i]) for a, s in zip(alpha, slopes, strict=True)
            )
            torch.testing.assert_close(joint[i], expected)
    with torch.no_grad():
        apart = loss(*views[:2])
    assert not apart.requires_grad
    torch.testing.assert_close(apart, loss(*leaves).detach())
    against = ParetoSum([InfoNCE(0.3), Minus(0.3)])
    leaves = [v.clone().requires_grad_() for v in views[:2]]
    assert all(g.abs().max() < 1e-12 for g in torch.autograd.grad(against(*leaves), leaves)), "no common direction"


class Minus(InfoNCE):
    def compute(self, z1, z2, ids=None, log_q=None):
        values, valid = super().compute(z1, z2, ids, log_q)
        return -values, valid


def test_a_composed_objective_conforms():
    check_objective(lambda: Contrast(similarity="dot", temperature=0.5, kernel="negatives", negatives="both"))
    check_objective(
        lambda: Contrast(similarity="square_euclidean", kernel={"name": "pair_rank", "phi": "softplus"}, forward=0.5)
    )


class Cosine(Objective):
    """Mean of 1 - cos(z1, z2): attraction alone."""

    kind = "pair"

    def compute(self, z1, z2, ids=None):
        return 1 - torch.cosine_similarity(z1, z2, dim=1), None


def test_an_objective_of_a_user_conforms():
    check_objective(Cosine)


def test_the_suite_finds_a_broken_objective():
    class Summed(InfoNCE):
        reference = "nowhere"

        def describe(self):
            return {"kernel": "x"}

        def forward(self, *inputs, **options):
            return self.rows(*inputs, **options).sum() * float("nan")

    with pytest.raises(AssertionError, match="the loss must be finite on random inputs"):
        check_objective(Summed)

    class Added(InfoNCE):
        def forward(self, *inputs, **options):
            return self.rows(*inputs, **options).sum()

    with pytest.raises(AssertionError, match=r"the loss must be the mean of rows\(\)"):
        check_objective(Added)

    class Ordered(InfoNCE):
        def compute(self, z1, z2, ids=None):
            values, valid = super().compute(z1, z2, ids)
            return values * torch.arange(len(values)), valid

    with pytest.raises(AssertionError, match="permuting the batch must not change the loss"):
        check_objective(Ordered)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_gradients_in_chunks_are_those_of_the_batch(views, dropout, chunk):
    torch.manual_seed(0)
    towers = [nn.Sequential(nn.Linear(5, 8), nn.Dropout(dropout), nn.ReLU(), nn.Linear(8, 4)).double() for _ in "ab"]
    loss = InfoNCE("learnable").build(9, 4).double()
    modules = nn.ModuleList([*towers, loss])

    def gradients():
        return [p.grad.clone() for p in modules.parameters()]

    def encoder(tower, x):
        return lambda part: tower(x[part])

    encoders = [encoder(t, v) for t, v in zip(towers, views, strict=False)]
    torch.manual_seed(1)
    value = cached_backward(loss, encoders, 9, chunk)
    got = gradients()
    modules.zero_grad()
    torch.manual_seed(1)
    steps = range(0, 9, chunk)
    whole = [torch.cat([e(slice(s, min(s + chunk, 9))) for s in steps]) for e in encoders]
    expected = loss(*whole)
    expected.backward()
    torch.testing.assert_close(value, expected.detach())
    for g, e in zip(got, gradients(), strict=True):
        torch.testing.assert_close(g, e)


@pytest.mark.parametrize("chunk", [4, 100])
@pytest.mark.parametrize(
    ("loss", "arranged"),
    [
        (MVInfoNCE(), torch.stack),
        (SwAV(8), torch.stack),
        (GRAM(), tuple),
        (Sum(["MVInfoNCE", "PolyView"]), torch.stack),
    ],
    ids=["MVInfoNCE", "SwAV", "GRAM", "Sum"],
)
def test_several_views_and_modalities_in_chunks(views, loss, arranged, chunk):
    torch.manual_seed(0)
    towers = [nn.Linear(5, 4).double() for _ in views]
    loss = loss.build(9, 4).double()
    modules = nn.ModuleList([*towers, loss])
    ids = torch.tensor([0, 1, 1, 2, 3, 4, 5, 5, 6])

    def encoder(tower, x):
        return lambda part: tower(x[part])

    value = cached_backward(loss, [encoder(t, v) for t, v in zip(towers, views, strict=True)], 9, chunk, ids=ids)
    got = [p.grad.clone() for p in modules.parameters()]
    modules.zero_grad()
    expected = loss(arranged([t(v) for t, v in zip(towers, views, strict=True)]), ids=ids)
    expected.backward()
    torch.testing.assert_close(value, expected.detach())
    for g, p in zip(got, modules.parameters(), strict=True):
        torch.testing.assert_close(g, p.grad)


def test_one_encoder_of_labelled_rows_in_chunks(views):
    x, labels = views[0].clone().requires_grad_(), torch.tensor([0, 1, 0, 2, 1, 0, 3, 2, 1])
    value = cached_backward(SupCon(), [lambda part: 2 * x[part]], 9, 4, labels)
    y = views[0].clone().requires_grad_()
    expected = SupCon()(2 * y, labels)
    expected.backward()
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(x.grad, y.grad)


def test_the_random_state_goes_on_as_after_one_pass(views):
    torch.manual_seed(0)
    drop = nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5)).double()
    cached_backward(InfoNCE(), [lambda part: drop(views[0][part]), lambda part: drop(views[1][part])], 9, 3)
    after = torch.rand(1)
    torch.manual_seed(0)
    nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5))
    for v in views[:2]:
        for start in range(0, 9, 3):
            drop(v[start : start + 3])
    assert torch.equal(torch.rand(1), after)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Sum([]), "objectives must name at least one objective"),
        (lambda: Sum(["InfoNCE", "SupCon"]), "objectives must be of one kind, got labelled, pair"),
        (lambda: Sum(["InfoNCE"], [1.0, 2.0]), "weights must be one an objective, 1, got 2"),
        (lambda: Symmetric("SupCon"), "objective must be of kind pair, got one of kind labelled"),
        (lambda: PerHead("BPR"), "objective must be of kind pair, got one of kind ranking"),
        (lambda: PerHead(heads=0), "heads must be at least 1, got 0"),
        (lambda: cached_backward(InfoNCE(), [], 4, 0), "rows and chunk must be at least 1, got 4 and 0"),
        (lambda: cached_backward(InfoNCE(), [], 0, 4), "rows and chunk must be at least 1, got 0 and 4"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_unbuilt(views):
    with pytest.raises(RuntimeError, match="PerHead has no heads yet"):
        PerHead()(*views[:2])
