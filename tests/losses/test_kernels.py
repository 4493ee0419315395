"""Options of the contrast kernels."""

import pytest
import torch

from gcl.losses import DCL, Contrast, InfoNCE
from gcl.losses.slots.kernels import LogRatio


@pytest.mark.parametrize("value", ["self", "al"])
def test_a_log_ratio_knows_its_denominators(value):
    """Anything but all was once the decoupled loss."""
    with pytest.raises(ValueError, match=f"denominator must be all or negatives, got '{value}'.*see RelationContrast"):
        LogRatio(value)
    with pytest.raises(ValueError, match="denominator must be all or negatives"):
        Contrast(kernel={"name": "all", "denominator": value})


def test_a_log_ratio_knows_its_aggregates():
    with pytest.raises(ValueError, match="positives must be mean, sum or average, got 'maen'"):
        Contrast(kernel={"name": "all", "positives": "maen"})


def test_denominators(views):
    torch.testing.assert_close(Contrast(kernel="all", temperature=0.3)(*views[:2]), InfoNCE(0.3)(*views[:2]))
    decoupled = Contrast(kernel="negatives", temperature=0.3, negatives="both", forward=0.5)
    torch.testing.assert_close(decoupled(*views[:2]), DCL(0.3)(*views[:2]))
