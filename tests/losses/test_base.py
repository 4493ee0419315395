"""Calls that do not fit the kind, and what a call returns."""

import pytest
import torch

from gcl.losses import BPR, AlignUniform, InfoNCE
from gcl.losses.base import Objective


@pytest.mark.parametrize(
    ("loss", "inputs", "text"),
    [
        (InfoNCE(), (torch.zeros(3),), "InfoNCE is of kind pair and is called as .*: got \\[3\\]"),
        (InfoNCE(), (torch.zeros(3, 2), torch.zeros(3, 4)), "one width, got \\[3, 2\\] and \\[3, 4\\]"),
        (InfoNCE(), (torch.zeros(3, 2), torch.zeros(2, 2)), "z2 must have at least the rows of z1"),
        (AlignUniform(), (torch.zeros(3, 2), torch.zeros(4, 2)), "no place for further negatives"),
        (InfoNCE(), (torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(2).long()), "ids must be \\[3\\], got \\[2\\]"),
        (InfoNCE(), (torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3)), "ids must be integers"),
        (InfoNCE(), (torch.zeros(3, 2).long(), torch.zeros(3, 2).long()), "must be floating point"),
        (BPR(), (torch.zeros(3, 2), torch.zeros(3)), "BPR is of kind ranking .*: got \\[3, 2\\], \\[3\\]"),
    ],
)
def test_wrong_calls_say_what_is_right(loss, inputs, text):
    with pytest.raises(ValueError, match=text):
        loss(*inputs)


def made(kind):
    class Made(Objective):
        def compute(self, *inputs, **options):
            return torch.zeros(1), None

    Made.kind = kind
    return Made()


@pytest.mark.parametrize(
    ("kind", "inputs", "text"),
    [
        ("multiview", (torch.zeros(1, 3, 2),), "at least 2 views are needed"),
        ("multiview", (torch.zeros(3, 2),), "got \\[3, 2\\]"),
        ("labelled", (torch.zeros(3, 2), torch.zeros(2)), "labels must be \\[3\\], got \\[2\\]"),
        ("tuple", ((torch.zeros(3, 2),),), "a tuple of at least 2 tensors is needed"),
        ("tuple", ((torch.zeros(3, 2), torch.zeros(4, 2)),), "rows must be equal"),
        ("sets", (torch.zeros(3, 2), torch.zeros(4, 3)), "x and y must have one width"),
    ],
)
def test_wrong_calls_of_other_kinds(kind, inputs, text):
    with pytest.raises(ValueError, match=text):
        made(kind)(*inputs)


def test_half_precision_is_lifted():
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        loss = InfoNCE(0.05)(z, z + 0.1)
    torch.testing.assert_close(loss, InfoNCE(0.05)(z, z + 0.1))
    assert InfoNCE()(z.bfloat16(), z.bfloat16()).dtype == torch.float32
