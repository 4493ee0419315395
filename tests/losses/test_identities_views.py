"""What objectives of several views, of modalities and made of other objectives reduce to."""

import math

import pytest
import torch

import gcl.losses as L
from tests.losses.identities import B, D, both, check, draw, fixed, units

INTENTS = fixed(L.IntentContrast(0.3, 4))


def two_way(logits):
    labels = torch.arange(len(logits))
    return sum(torch.nn.functional.cross_entropy(x, labels) for x in (logits, logits.T)) / 2


def mixtures(z):
    centres = INTENTS.prototypes.detach()
    return (z @ centres.T).softmax(1) @ centres


def cauchy(a, b, beta):
    """Two things: the anchor's partner against the other row of the anchor's view, candidates constants."""
    x, rows = units(a[:2]), []
    for i in range(2):
        gap = x[i] @ units(b[i]).detach() - x[i] @ x[1 - i].detach()
        rows.append(-torch.log(0.5 + torch.atan(beta * gap) / math.pi))
    return sum(rows) / 2


CLAIMS = {
    "MVInfoNCE: NTXent with two views whose denominators are equal": (
        lambda a, b: L.MVInfoNCE(0.3)(torch.stack([a, a])) + 0 * b.sum(),
        lambda a, b: L.NTXent(0.3)(a, a) + 0 * b.sum(),
    ),
    "MVDHEL: DHEL with two views": (lambda a, b: L.MVDHEL(0.3)(torch.stack([a, b])), L.DHEL(0.3)),
    "DHEL: MVDHEL of two views": (L.DHEL(0.3), lambda a, b: L.MVDHEL(0.3)(torch.stack([a, b]))),
    **{
        f"PolyView: NTXent with two views, for every aggregate [{how}]": (
            lambda a, b, how=how: L.PolyView(0.3, how)(torch.stack([a, b])),
            L.NTXent(0.3),
        )
        for how in ("geometric", "arithmetic", "sufficient")
    },
    "ColloSSL: InfoNCE with one other view": (lambda a, b: L.ColloSSL(0.3)(torch.stack([a, b])), L.InfoNCE(0.3)),
    **{
        f"GroupContrast: InfoNCE with two views, for every way of taking positives [{how}]": (
            lambda a, b, how=how: L.GroupContrast(0.3, how)(torch.stack([a, b])),
            L.InfoNCE(0.3),
        )
        for how in ("sum", "mean", "pooled", "max")
    },
    "GroCo: -log(1/2 + atan(β (s_p - s_n)) / π)": (
        lambda a, b: L.GroCo(1, 2.0)(torch.stack([a[:2], b[:2]])),
        lambda a, b: cauchy(a, b, 2.0),
    ),
    "AnchorStar: InfoNCE with two modalities": (lambda a, b: L.AnchorStar(0.3)((a, b)), L.InfoNCE(0.3)),
    "IntentContrast: InfoNCE on the partners' mixtures": (INTENTS, lambda a, b: L.InfoNCE(0.3)(a, mixtures(b))),
    "BestMatch: twice CLIPLoss of a fixed temperature": (
        L.BestMatch(1, 0.3),
        lambda a, b: 2 * L.CLIPLoss(0.3)(a, b),
    ),
    "GRAM: CLIPLoss on -|sin| of the angle": (
        lambda a, b: L.GRAM(0.3, 0.0, 1e-12)((a, b)),
        lambda a, b: two_way(-torch.sin(torch.arccos(units(a) @ units(b).T)) / 0.3),
    ),
    "Sum: its objective where there is one": (L.Sum([L.InfoNCE(0.3)]), L.InfoNCE(0.3)),
    "ParetoSum: its objective where there is one [one]": (L.ParetoSum([L.InfoNCE(0.3)]), L.InfoNCE(0.3)),
    "ParetoSum: its objective where there is one [same]": (L.ParetoSum([L.InfoNCE(0.3)] * 3), L.InfoNCE(0.3)),
    "OverViews: its objective with two views [unordered]": (
        lambda a, b: L.OverViews(L.InfoNCE(0.3))(torch.stack([a, b])),
        L.InfoNCE(0.3),
    ),
    "OverViews: its objective with two views [star]": (
        lambda a, b: L.OverViews(L.InfoNCE(0.3), "star")(torch.stack([a, b])),
        L.InfoNCE(0.3),
    ),
    "OverViews: Symmetric around its objective with two views": (
        lambda a, b: L.OverViews(L.InfoNCE(0.3), "ordered")(torch.stack([a, b])),
        L.Symmetric(L.InfoNCE(0.3)),
    ),
    "PerRelation: its objective with one relation": (L.PerRelation(L.InfoNCE(0.3)), L.InfoNCE(0.3)),
    "Reduced: its objective where all values are positive [nonzero]": (L.Reduced(L.InfoNCE(0.3)), L.InfoNCE(0.3)),
    "Reduced: its objective where all values are positive [hardest]": (
        L.Reduced(L.InfoNCE(0.3), "hardest", share=1.0),
        L.InfoNCE(0.3),
    ),
    "Reduced: its objective where all values are positive [weights]": (
        lambda a, b: L.Reduced(L.InfoNCE(0.3), "weights")(a, b, weights=torch.full((B,), 0.7)),
        L.InfoNCE(0.3),
    ),
    "UncertaintySum: Sum at the start": (L.UncertaintySum(), L.Sum(["InfoNCE", "BYOL"])),
    "Symmetric: CLIPLoss of a fixed temperature": (
        L.Symmetric({"name": "InfoNCE", "temperature": 0.3}),
        L.CLIPLoss(0.3),
    ),
    "PerHead: its objective with heads=1": (
        fixed(L.PerHead({"name": "InfoNCE", "temperature": 0.3}, 1)),
        L.InfoNCE(0.3),
    ),
}

RELATIONS = {
    "Sum weighs its objective": (L.Sum([L.InfoNCE(0.3)], [2.0]), lambda a, b: 2 * L.InfoNCE(0.3)(a, b)),
    "Symmetric is the mean of both ways": (L.Symmetric(L.CWCL(0.3)), both(L.CWCL(0.3))),
}


@pytest.mark.parametrize("key", [*CLAIMS, *RELATIONS])
def test_reduces(key):
    check((CLAIMS | RELATIONS)[key], draw(B, D), draw(B, D, seed=6))


def test_inequalities():
    """Jensen, between siblings of several views."""
    a, b, c = (draw(B, D, seed=s) for s in (8, 9, 10))
    assert L.NTXent(0.3)(a, b) < L.MVInfoNCE(0.3)(torch.stack([a, b]))
    cube = torch.stack([a, b, c])
    assert L.PolyView(0.3, "arithmetic")(cube) < L.PolyView(0.3, "geometric")(cube)
