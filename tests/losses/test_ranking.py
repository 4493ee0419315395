"""Objectives of scores."""

import math

import pytest
import torch

from gcl.losses import BPR, InfoNCE
from tests.losses.reference import mean, same


def test_bpr_check_values():
    zero = torch.zeros(3, dtype=torch.float64)
    assert BPR()(zero, zero[:, None]).item() == pytest.approx(math.log(2))
    assert BPR()(zero + 1, zero[:, None]).item() == pytest.approx(0.313262, abs=1e-6)


def test_bpr_is_its_formula(views):
    positive, negative = views[0][:, 0], views[1]

    def naive(p, n):
        return mean([torch.log(1 + torch.exp(n[i, j] - p[i])) for i in range(9) for j in range(5)])

    same(BPR(), naive, positive, negative)


def test_bpr_keeps_its_slope_where_the_order_is_wrong():
    """-log(eps + sigmoid) saturates at 23.03 and stops pulling; softplus does not."""
    positive = torch.tensor([-60.0], requires_grad=True)
    loss = BPR()(positive, torch.zeros(1, 1))
    loss.backward()
    assert loss.item() == pytest.approx(60.0) and positive.grad.item() == pytest.approx(-1.0)


def test_bpr_is_info_nce_with_one_negative(views):
    user, item, other = (v[:1] for v in views)
    candidates = torch.cat([item, other])
    expected = InfoNCE(1.0, similarity="dot")(user, candidates)
    torch.testing.assert_close(BPR()((user * item).sum(1), user @ other.T), expected)
