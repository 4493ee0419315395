"""What the softmax family holds whatever the entry: order, rotation, length, direction of every similarity."""

import pytest
import torch

import gcl.losses as L
from gcl.losses.functional import partition as module

B, D = 6, 5
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
PAIRS = [
    L.InfoNCE(0.3), L.NTXent(0.3), L.CLIPLoss(0.3), L.ConVIRT(0.3), L.DCL(0.3), L.DCLW(0.3), L.AdditiveMargin(0.3),
    L.AngularMargin(0.3), L.DHEL(0.3), L.CWCL(0.3), L.CLAIF(0.3), L.ICon(0.3), L.MACL(0.3), L.SogCLR(0.3),
    L.ISogCLR(0.3), L.KernelInfoNCE(0.3), L.DebiasedContrast(0.5), L.HardNegative(0.5), L.GuidedInfoNCE(0.3),
    L.ClusterNegatives(0.3), L.HardNegativeInfoNCE(0.3), L.CLP(0.3), L.DCLR(0.3, noise=0.0), L.MoCo(0.3, in_batch=True),
    L.CKD(0.3), L.NNCLR(0.3), L.InterCLR(0.3), L.EnergyHinge(0.3), L.SigLIP(), L.MeanShifted(0.3), L.AlignUniform(),
    L.SpectralContrast(1e-3), L.KCL(), L.BYOL(), L.BestMatch(1, 0.3), L.Symmetric("InfoNCE"),
]  # fmt: skip
OTHERS = {
    "multiview": [
        L.MVInfoNCE(0.3), L.MVDHEL(0.3), L.PolyView(0.3), L.PolyView(0.3, "arithmetic"), L.PolyView(0.3, "sufficient"),
        L.ColloSSL(0.3), L.GroupContrast(0.3), L.CACR(), L.DecoupledUniformity(), L.GroCo(2),
    ],
    "labelled": [
        L.SupCon(0.3), L.SupCon(0.3, "in"), L.WSP(0.3), L.GML(0.3), L.Circle(0.25, 4.0), L.MultiSimilarity(),
        L.Triplet(2.5), L.SCOREQ(), L.SCoRe(), L.SCoRe("cut"), L.SCoRe("logdet"), L.ConR(0.3, 0.0),
        L.SupReMix(0.3, 0),
    ],
    "tuple": [L.GRAM(0.3), L.AnchorStar(0.3)],
}  # fmt: skip
EVERY = [*PAIRS, *(x for group in OTHERS.values() for x in group)]


def name_of(loss):
    return type(loss).__name__ + "".join(f"-{v}" for v in loss.arguments.values() if isinstance(v, str))


def ready(loss):
    torch.manual_seed(0)
    return loss.build(2 * B, D).double().eval()


def call(loss, rows, labels=LABELS):
    """Value of a loss of rows [3, B, D] in its own form."""
    match loss.kind:
        case "pair":
            return loss(rows[0], rows[1])
        case "labelled":
            return loss(rows[0], labels)
        case "tuple":
            return loss(tuple(rows))
        case _:
            return loss(rows)


def value_and_gradient(loss, rows, labels=LABELS):
    leaf = rows.clone().requires_grad_()
    value = call(loss, leaf, labels)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


@pytest.fixture
def rows():
    return torch.randn(3, B, D, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


@pytest.mark.parametrize("loss", EVERY, ids=name_of)
def test_a_permuted_batch_has_a_permuted_gradient(loss, rows):
    loss = ready(loss)
    order = torch.tensor([2, 3, 0, 1, 5, 4])
    value, gradient = value_and_gradient(loss, rows)
    moved, moved_gradient = value_and_gradient(loss, rows[:, order], LABELS[order])
    torch.testing.assert_close(moved, value)
    torch.testing.assert_close(moved_gradient, gradient[:, order], atol=1e-9, rtol=1e-7)


@pytest.mark.parametrize("loss", EVERY, ids=name_of)
def test_a_common_rotation_changes_nothing(loss, rows):
    loss = ready(loss)
    turn = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(9), dtype=torch.float64)).Q
    value, gradient = value_and_gradient(loss, rows)
    turned, turned_gradient = value_and_gradient(loss, rows @ turn)
    torch.testing.assert_close(turned, value)
    torch.testing.assert_close(turned_gradient, gradient @ turn, atol=1e-9, rtol=1e-7)


@pytest.mark.parametrize("loss", EVERY, ids=name_of)
def test_lengths_do_not_matter_and_the_gradient_is_tangent(loss, rows):
    loss = ready(loss)
    scale = torch.linspace(0.6, 1.7, 3 * B, dtype=torch.float64).view(3, B, 1)
    value, gradient = value_and_gradient(loss, rows)
    if isinstance(loss, L.SpectralContrast):
        rows, scale = 9 * rows, scale + 1
        value, gradient = value_and_gradient(loss, rows)
    scaled, _ = value_and_gradient(loss, scale * rows)
    torch.testing.assert_close(scaled, value)
    assert (gradient * rows).sum(-1).abs().max() < 1e-9 * max(1.0, float(gradient.abs().max()))


RATIOS = [
    L.InfoNCE(0.5, "dot"), L.Contrast(similarity="dot", temperature=0.5, weighting={"name": "hardness", "beta": 0.7}),
    L.SampledSoftmax(0.5), L.ICon(0.5, "dot"),
    L.Contrast(similarity="dot", temperature=0.5, kernel={"name": "all", "positives": "sum"}),
]  # fmt: skip


@pytest.mark.parametrize("loss", RATIOS, ids=name_of)
def test_a_constant_on_the_logits_of_a_row_changes_nothing(loss, rows):
    """Candidates share a coordinate of 1, and what an anchor has there is added to all its scores."""
    z1, z2 = rows[0], rows[1]
    one = torch.ones(B, 1, dtype=torch.float64)
    shifts = torch.linspace(-1, 2, B, dtype=torch.float64)[:, None]
    plain = loss.rows(torch.cat([z1, 0 * one], 1), torch.cat([z2, one], 1))
    moved = loss.rows(torch.cat([z1, shifts], 1), torch.cat([z2, one], 1))
    torch.testing.assert_close(moved, plain)


@pytest.mark.parametrize("negatives", ["within", "both"])
def test_a_constant_on_all_logits_changes_nothing_where_own_rows_are_candidates(negatives, rows):
    """Scores within a view are symmetric, so that all rows move by the same."""
    loss = L.Contrast(similarity="dot", temperature=0.5, negatives=negatives, forward=0.5)
    plain, moved = (loss.rows(*(torch.cat([z, c * torch.ones_like(z[:, :1])], 1) for z in rows[:2])) for c in (0, 1.3))
    torch.testing.assert_close(moved, plain)


@pytest.mark.parametrize("kernel", ["negatives", "pair_rank", "pointwise"])
def test_a_constant_matters_where_the_positive_is_not_compared_by_a_ratio(kernel, rows):
    loss = L.Contrast(similarity="dot", temperature=0.5, kernel=kernel)
    z1, z2 = rows[0], rows[1]
    one = torch.ones(B, 1, dtype=torch.float64)
    plain = loss.rows(torch.cat([z1, 0 * one], 1), torch.cat([z2, one], 1))
    moved = loss.rows(torch.cat([z1, one], 1), torch.cat([z2, one], 1))
    unmoved = kernel in ("negatives", "pair_rank")
    assert torch.allclose(moved, plain) == unmoved, "differences of scores do not see it, single scores do"


MONOTONE = [
    L.Contrast(similarity="dot", temperature=0.5, kernel=kernel, negatives=negatives, forward=forward)
    for kernel in ("all", "negatives", "pair_rank", "pointwise", "energy", {"name": "debiased", "tau_plus": 0.1})
    for negatives, forward in (("cross", 1.0), ("within", 0.5), ("both", 0.5))
]


@pytest.mark.parametrize("loss", MONOTONE, ids=lambda loss: f"{loss.arguments['kernel']}-{loss.negatives}")
def test_positives_pull_and_negatives_push(loss):
    """Slopes S along all scores of the stack Z of both views, from dL/dZ = 2 S Z, with as many coordinates as rows."""
    stack = torch.randn(2 * B, 2 * B, generator=torch.Generator().manual_seed(3), dtype=torch.float64) / 6
    leaf = stack.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf[:B], leaf[B:]), leaf)
    slope = gradient @ torch.linalg.inv(stack) / 2
    torch.testing.assert_close(slope, slope.T, rtol=1e-8, atol=1e-10)
    across, within = slope[:B, B:], torch.cat([slope[:B, :B], slope[B:, B:]])
    other = ~torch.eye(B, dtype=torch.bool)
    assert bool((across.diagonal() < -1e-3).all())
    for part, candidates in ((across[other], "cross"), (within[other.repeat(2, 1)], "within")):
        asked = loss.negatives in (candidates, "both")
        assert bool((part > -1e-12).all()) and bool((part > 1e-4).any() if asked else (part < 1e-12).all())
    assert within[~other.repeat(2, 1)].abs().max() < 1e-12, "no row is its own negative"


@pytest.mark.parametrize("loss", [L.InfoNCE(0.5, "dot"), L.ICon(0.5, "dot")], ids=name_of)
def test_the_gradient_of_logits_is_the_softmax_less_the_target(loss):
    scores = torch.randn(B, B, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    leaf = scores.clone().requires_grad_()
    rows = loss.rows(leaf, torch.eye(B, dtype=torch.float64))
    (slope,) = torch.autograd.grad(rows.sum(), leaf)
    torch.testing.assert_close(slope, ((scores / 0.5).softmax(1) - torch.eye(B)) / 0.5)
    torch.testing.assert_close(slope.sum(1), torch.zeros(B, dtype=torch.float64))


NAMES = [
    "InfoNCE", "NTXent", "CLIPLoss", "DCL", "MACL", "KernelInfoNCE", "DebiasedContrast", "ICon", "SogCLR",
    "HardNegative", "GuidedInfoNCE", "MoCo", "CKD", "EnergyHinge", "DHEL", "AdditiveMargin",
]  # fmt: skip
SIZES = {"square": (37, 37), "one row": (1, 1), "further rows": (23, 41)}
SIZED = [(name, size) for name in NAMES for size in SIZES if size != "further rows" or L.catalogue()[name].extra]


@pytest.mark.parametrize("tau", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize(("name", "size"), SIZED)
def test_float32_is_float64_at_every_temperature_and_size(name, size, tau, monkeypatch):
    """Value and gradient, streamed in tiles that do not divide the batch, beside the dense form in float64."""
    n, m = SIZES[size]
    generator = torch.Generator().manual_seed(2)
    a, b = (torch.randn(k, D, generator=generator, dtype=torch.float64) for k in (n, m))
    b[: n // 2] = a[: n // 2] + 0.1 * b[: n // 2]
    b[-1] = b[0]
    ids = torch.arange(m)
    ids[-1] = 0
    results = []
    for dtype, streamed in ((torch.float64, False), (torch.float32, True)):
        if streamed:
            monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
            monkeypatch.setitem(module.TILE, "cpu", 150)
            monkeypatch.setattr(module, "LEAST_ROWS", 1)
        built = L.catalogue()[name](temperature=tau).build(m, D).to(dtype).eval()
        leaves = [t.to(dtype).requires_grad_() for t in (a, b)]
        value = built(*leaves, ids)
        results.append((value, *torch.autograd.grad(value, leaves, allow_unused=True)))
    exact, single = results
    scale = max(1.0, abs(float(exact[0])))
    assert abs(float(single[0]) - float(exact[0])) < 2e-4 * scale, (float(exact[0]), float(single[0]))
    for e, s in zip(exact[1:], single[1:], strict=True):
        if e is None or s is None:
            assert e is None and s is None
            continue
        top = float(e.abs().max())
        torch.testing.assert_close(s.double(), e, rtol=2e-3, atol=max(2e-3 * top, 1e-7))
