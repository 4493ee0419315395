"""What objectives with a queue, a bank, running means or learned temperatures reduce to."""

import math

import pytest
import torch

import gcl.losses as L
from tests.losses.identities import ALONE, LABELS, B, D, check, draw, filled, fixed, zero

LOG = math.log(2 * (B - 1))


def visited(loss):
    """Built and in training, every thing seen once before in another place."""
    torch.manual_seed(3)
    loss = loss.build(B, D).double()
    if isinstance(loss, L.TempNet):
        one_value(loss, 0.3)
    loss(draw(B, D, seed=21), draw(B, D, seed=22), ALONE)
    return lambda a, b: loss(a, b, ALONE)


@torch.no_grad()
def one_value(loss, tau):
    """The network says τ of everything."""
    share = (tau - loss.low) / (loss.high - loss.low)
    loss.head.weight.zero_()
    loss.head.bias.fill_(math.log(share / (1 - share)))


def labelled_bank(weight):
    """InterCLR with a bank of all things, in two clusters."""
    loss = fixed(L.InterCLR(0.3, weight))
    loss.bank[:B], loss.labels[:B] = torch.nn.functional.normalize(draw(B, D, seed=23)), ALONE % 2
    return loss


def plain_head():
    loss = fixed(L.AMCL(1, 0.3, 0.3, 0.0, negatives="all"))
    with torch.no_grad():
        loss.weight.copy_(torch.eye(D))
    return loss


def decoupled(a, b):
    return 0.3 * (L.DCL(0.3)(a, b) - LOG)


CLAIMS = {
    "MoCo: 0 with an empty queue and in_batch=False": (fixed(L.MoCo(0.3)), zero),
    "MoCo: InfoNCE with an empty queue and in_batch=True": (fixed(L.MoCo(0.3, in_batch=True)), L.InfoNCE(0.3)),
    "MoCHi: MoCo with pairs=0 and own=0": (filled(L.MoCHi(0.3, 9, pairs=0, own=0)), filled(L.MoCo(0.3, 9))),
    "FeatureTransform: MoCo with positive=0 and negative=0, keys without gradient": (
        filled(L.FeatureTransform(0.3, 9, positive=0, negative=0)),
        lambda a, b: filled(L.MoCo(0.3, 9))(a, b.detach()) + zero(b),
    ),
    "DualMomentum: MoCo with forward=1 and share=1": (filled(L.DualMomentum(0.3, 9, 1.0, 1.0)), filled(L.MoCo(0.3, 9))),
    "CKD: InfoNCE on detached candidates with an empty queue": (
        fixed(L.CKD(0.3)),
        lambda a, b: L.InfoNCE(0.3)(a, b.detach()) + zero(b),
    ),
    "NNCLR: CLIPLoss of a fixed temperature while the queue is empty": (fixed(L.NNCLR(0.3)), L.CLIPLoss(0.3)),
    "InterCLR: (1 - weight) InfoNCE before the first clustering; InfoNCE with weight=0 [before]": (
        lambda a, b: fixed(L.InterCLR(0.3, 0.4))(a, b, ALONE),
        lambda a, b: 0.6 * L.InfoNCE(0.3)(a, b),
    ),
    "InterCLR: (1 - weight) InfoNCE before the first clustering; InfoNCE with weight=0 [weight]": (
        lambda a, b: labelled_bank(0.0)(a, b, ALONE),
        L.InfoNCE(0.3),
    ),
    "CrossBatchMemory: its objective while the queue is empty": (
        lambda a, b: fixed(L.CrossBatchMemory(L.SupCon(0.3)))(a, LABELS) + zero(b),
        lambda a, b: L.SupCon(0.3)(a, LABELS) + zero(b),
    ),
    "SogCLR: τ times DCL less its log of the number of negatives, with gamma=1 or without ids [gamma]": (
        visited(L.SogCLR(0.3, gamma=1.0)),
        decoupled,
    ),
    "SogCLR: τ times DCL less its log of the number of negatives, with gamma=1 or without ids [ids]": (
        fixed(L.SogCLR(0.3)),
        decoupled,
    ),
    "ISogCLR: SogCLR plus τ ρ with rate=0 and gamma=1": (
        visited(L.ISogCLR(0.3, gamma=1.0, rho=0.7, rate=0.0)),
        lambda a, b: visited(L.SogCLR(0.3, gamma=1.0))(a, b) + 0.3 * 0.7,
    ),
    "TempNet: SogCLR plus τ ρ with a network of one value and gamma=1": (
        visited(L.TempNet(8, rho=0.7, gamma=1.0)),
        lambda a, b: visited(L.SogCLR(0.3, gamma=1.0))(a, b) + 0.3 * 0.7,
    ),
    "AMCL: one direction of DCL over the other view": (
        plain_head(),
        L.Contrast(temperature=0.3, kernel="negatives"),
    ),
}


@pytest.mark.parametrize("key", CLAIMS)
def test_reduces(key):
    check(CLAIMS[key], draw(B, D), draw(B, D, seed=6))


def test_a_filled_queue_a_labelled_bank_and_a_visit_count():
    """Else the identities above would hold of an objective that looks at nothing but the batch."""
    a, b = draw(B, D), draw(B, D, seed=6)
    for full, empty in (
        (filled(L.MoCo(0.3, 9))(a, b), 0.0),
        (labelled_bank(0.4)(a, b, ALONE), 0.6 * L.InfoNCE(0.3)(a, b).item()),
        (visited(L.SogCLR(0.3, gamma=0.5))(a, b), decoupled(a, b).item()),
        (visited(L.ISogCLR(0.3, gamma=1.0, rate=0.1))(a, b), decoupled(a, b).item() + 0.09),
        (visited(L.TempNet(8, gamma=0.5))(a, b), decoupled(a, b).item() + 0.15),
    ):
        assert abs(full.item() - empty) > 1e-3
