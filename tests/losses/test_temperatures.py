"""Temperatures: learned ones get finite gradients, those that follow the positives get positives."""

import pytest
import torch

from gcl.losses import (
    CKD,
    CLAIF,
    CWCL,
    GML,
    GRAM,
    DebiasedContrast,
    HardNegative,
    ICon,
    InfoNCE,
    KernelInfoNCE,
    SupCon,
)
from gcl.losses.slots.temperatures import AlignmentAdaptive, Scheduled, Temperature
from gcl.losses.slots.weightings import Hardness

ALIGNMENT = {"name": "alignment", "value": 0.3, "alpha": 0.9}
LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 3, 2, 1])


def slope(objective, *inputs):
    """Gradient of the learned scale."""
    objective = objective.double()
    objective(*inputs).backward()
    return objective.temperature.log_scale.grad


@pytest.mark.parametrize("detach", [False, True])
def test_a_learned_temperature_under_even_weights_is_that_of_the_debiased_loss(views, detach):
    plain = slope(DebiasedContrast("learnable", 0.1), *views[:2])
    assert bool(torch.isfinite(plain)) and plain != 0
    torch.testing.assert_close(slope(HardNegative("learnable", 0.0, 0.1, detach), *views[:2]), plain)


def test_nearly_even_weights_tend_to_even_ones(views):
    even, nearly = (slope(HardNegative("learnable", beta), *views[:2]) for beta in (0.0, 1e-9))
    torch.testing.assert_close(nearly, even, rtol=1e-6, atol=1e-6)
    assert Hardness(0.0).tilts == (1.0,), "one sum will do"


@pytest.mark.parametrize("make", [SupCon, GML, ICon, GRAM])
def test_rows_without_a_single_positive_refuse_temperatures_that_follow_positives(make):
    with pytest.raises(ValueError, match="temperature must not depend on .*got AlignmentAdaptive.*Take a number"):
        make(temperature=ALIGNMENT)
    for possible in (0.3, "learnable", "scheduled"):
        make(temperature=possible)


def test_a_temperature_of_a_user_is_taken_to_follow_the_positives():
    class Halved(Temperature):
        def forward(self, s):
            return s.mean() / 2

    with pytest.raises(ValueError, match="got Halved"):
        SupCon(Halved())
    assert InfoNCE(Halved()).temperature.needs_positives


@pytest.mark.parametrize("make", [CKD, CLAIF, CWCL])
def test_aligned_objectives_give_the_similarity_of_aligned_rows(views, make):
    """A coordinate in its place would change the loss when coordinates change places."""
    tau = AlignmentAdaptive(0.3, 0.9)(torch.cosine_similarity(views[0], views[1], dim=1)).item()
    followed, fixed = (make(temperature=t).build(9, 5).double().eval() for t in (ALIGNMENT, tau))
    torch.testing.assert_close(followed(*views[:2]), fixed(*views[:2]))
    torch.testing.assert_close(followed(views[0].flip(1), views[1].flip(1)), fixed(*views[:2]))


def test_labels_do_not_read_coordinates(views):
    z = views[0]
    for loss in (SupCon("scheduled"), GML("learnable").double()):
        torch.testing.assert_close(loss.eval()(z, LABELS), loss(z.flip(1), LABELS))


@pytest.mark.parametrize(("mix", "learned"), [("none", 1), ("loss", 2), ("concat", 2)])
def test_every_learned_temperature_of_kernel_contrast_gets_a_gradient(views, mix, learned):
    loss = KernelInfoNCE("learnable", mix=mix).double()
    loss(*views[:2]).backward()
    slopes = [p.grad for p in loss.parameters()]
    assert len(slopes) == learned and all(g is not None and bool(torch.isfinite(g)) and g != 0 for g in slopes)


def test_a_mixed_kernel_needs_a_number():
    with pytest.raises(ValueError, match="temperature must be a number with mix='kernel'.*got 'learnable'.*mix='loss'"):
        KernelInfoNCE("learnable", mix="kernel")


def test_a_temperature_a_row(views):
    class Rowwise(Temperature):
        def forward(self, s):
            return 0.5 + s.abs()

    tau = 0.5 + torch.cosine_similarity(*views[:2], dim=1).abs()
    expected = [InfoNCE(t.item()).rows(*views[:2])[i] for i, t in enumerate(tau)]
    torch.testing.assert_close(CKD(Rowwise()).build(9, 5).double().rows(*views[:2]), torch.stack(expected))


def test_two_kernels_do_not_share_a_schedule(views):
    """One schedule for both would move twice a call."""
    for mix in ("loss", "concat"):
        loss = KernelInfoNCE(Scheduled(0.1, 0.5, 8), mix=mix).double()
        for _ in range(3):
            loss(*views[:2])
        assert [int(m.calls) for m in loss.modules() if isinstance(m, Scheduled)] == [3, 3]
