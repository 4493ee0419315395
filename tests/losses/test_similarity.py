"""Contrast in other geometries."""

import pytest
import torch

from gcl.losses import BarlowTwins, Contrast, HashContrast, KernelInfoNCE, MCLRecRegulariser, MeanShifted, NTXent
from tests.losses.reference import log_sum, mean, same, units
from tests.losses.test_softmax_family import naive_nt_xent

pytestmark = pytest.mark.usefixtures("streamed")


def naive_kernel(a, b, tau, gamma, share=1.0, inside=False):
    z = units(torch.cat([a, b]))
    n = len(a)

    def logit(i, j):
        r = (z[i] - z[j]).norm()
        if not inside:
            return -(r**gamma) / tau
        return torch.log(share * torch.exp(-(r**gamma) / tau) + (1 - share) * torch.exp(-(r**2) / tau))

    rows = []
    for i in range(2 * n):
        p = (i + n) % (2 * n)
        rows.append(log_sum([logit(i, k) for k in range(2 * n) if k != i]) - logit(i, p))
    return mean(rows)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_kernel_info_nce(views, gamma):
    same(KernelInfoNCE(0.4, gamma), lambda a, b: naive_kernel(a, b, 0.4, gamma), *views[:2], rtol=1e-6, atol=1e-8)
    mixed = KernelInfoNCE(0.4, gamma, "kernel", 0.3)
    same(mixed, lambda a, b: naive_kernel(a, b, 0.4, gamma, 0.3, True), *views[:2], rtol=1e-6, atol=1e-8)
    blend = 0.3 * KernelInfoNCE(0.4, gamma)(*views[:2]) + 0.7 * KernelInfoNCE(0.4, 2.0)(*views[:2])
    torch.testing.assert_close(KernelInfoNCE(0.4, gamma, "loss", 0.3)(*views[:2]), blend)
    halves = 0.3 * naive_kernel(views[0][:, :2], views[1][:, :2], 0.4, gamma)
    halves = halves + 0.7 * naive_kernel(views[0][:, 2:], views[1][:, 2:], 0.4, 2.0)
    torch.testing.assert_close(KernelInfoNCE(0.4, gamma, "concat", 0.3)(*views[:2]), halves, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("gamma", "expected"), [(2.0, 0.104264), (1.0, 0.303532), (0.5, 0.442237)])
def test_kernel_check_values(gamma, expected, eye, collapsed):
    assert KernelInfoNCE(0.5, gamma)(eye, eye).item() == pytest.approx(expected, abs=1e-5)
    assert KernelInfoNCE(0.5, gamma)(collapsed, collapsed).item() == pytest.approx(1.945910, abs=1e-6)


def test_gaussian_kernel_is_nt_xent_at_half_the_temperature(views):
    torch.testing.assert_close(KernelInfoNCE(0.4, 2.0)(*views[:2]), NTXent(0.2)(*views[:2]))
    one = KernelInfoNCE(0.4, 0.5, "loss", 1.0)(*views[:2])
    torch.testing.assert_close(one, KernelInfoNCE(0.4, 0.5)(*views[:2]))


def test_mean_shifted(views):
    loss = MeanShifted(0.25, angular=True).build(9, 5).double()
    torch.testing.assert_close(
        loss(*views[:2]), NTXent(0.25)(*views[:2]) + 1.0, msg="a centre of 0 is NT-Xent, and unit rows are 1 from it"
    )
    loss.set_center(views[2])
    c = units(units(views[2]).mean(0))

    def naive(a, b):
        away = mean([(units(z)[i] - c).square().sum() for z in (a, b) for i in range(9)])
        return naive_nt_xent(units(a) - c, units(b) - c, 0.25) + away

    same(loss, naive, views[0], views[1], rtol=1e-8)
    away = (units(views[0]) - c).square().sum(1)
    torch.testing.assert_close(away, 2 - 2 * units(views[0]) @ c)
    at_centre = torch.cat([c[None], views[0][1:]]).requires_grad_()
    value = loss(at_centre, views[1])
    value.backward()
    assert torch.isfinite(value) and bool(torch.isfinite(at_centre.grad).all())
    other = MeanShifted(0.25, angular=True).build(9, 5).double()
    other.load_state_dict(loss.state_dict())
    torch.testing.assert_close(other(*views[:2]), loss(*views[:2]))


def test_bits(views):
    loss = Contrast(similarity="bits")
    p, q = torch.sigmoid(views[0]), torch.sigmoid(views[1])
    expected = (p[:, None] * q + (1 - p[:, None]) * (1 - q)).mean(2)
    torch.testing.assert_close(loss.similarity.matrix(*views[:2]), expected)
    hard = torch.tensor([[60.0, -60, 60], [-60, 60, -60], [0, 0, 0]]).double()
    s = loss.similarity.matrix(hard, hard)
    torch.testing.assert_close(s[0, 0], torch.tensor(1.0).double())
    torch.testing.assert_close(s[0, 1], torch.tensor(0.0).double())
    torch.testing.assert_close(s[2], torch.full((3,), 0.5).double())


def test_hash_contrast(views):
    def naive(a, b):
        base = Contrast(similarity="bits", temperature=0.1, forward=0.5)(a, b)
        even = mean([(torch.sigmoid(z).mean(0) - 0.5).square().mean() for z in (a, b)])
        sharp = mean([(torch.tanh(z).abs() - 1).square().mean() for z in (a, b)])
        return base + 0.3 * even + 0.2 * sharp + 0.5 * BarlowTwins()(torch.tanh(a), torch.tanh(b))

    same(HashContrast(0.1, 0.3, 0.2, 0.5), naive, views[0], views[1])


def test_mclrec_regulariser(views, eye, collapsed):
    def naive(a, b):
        z = torch.cat([a, b])
        s = z @ z.T / 0.5
        rows = []
        for i in range(18):
            p = s[i, (i + 9) % 18]
            n = torch.stack([s[i, k] for k in range(18) if k not in (i, (i + 9) % 18)])
            low, high = torch.minimum(p, n.max()), torch.maximum(p, n.max())
            rows.append((p - low).clamp_min(0) + (high - n).clamp_min(0).mean())
        return mean(rows)

    same(MCLRecRegulariser(0.5), naive, views[0], views[1])
    assert MCLRecRegulariser(0.5)(eye, eye).item() == pytest.approx(4.0)
    assert MCLRecRegulariser(0.5)(collapsed, collapsed).item() == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: KernelInfoNCE(mix="x"), "mix must be none, loss, kernel or concat, got 'x'"),
        (lambda: KernelInfoNCE(share=2), r"share must be in \[0, 1\], got 2"),
        (lambda: KernelInfoNCE(mix="kernel", share=0), r"share in \(0, 1\)"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()
