"""What log-ratio objectives of pairs reduce to: value and gradient on random rows."""

import math

import pytest
import torch

import gcl.losses as L
from gcl.losses.functional import catalogue_softmax
from gcl.losses.slots import LogRatio, PairRank
from tests.losses.identities import ALONE, LABELS, B, D, both, check, draw, fixed, others, units, zero

HARD, QUERIES = draw(B, 3, D, seed=11), draw(B, 3, D, seed=12)
EVEN = torch.full((B,), 0.3, dtype=torch.float64)


def scores_of_two(a, b, tau):
    """Positive and only negative of each of two rows."""
    s = units(a[:2]) @ units(b[:2]).T / tau
    return s.diagonal(), s.flip(1).diagonal()[:, None]


def grace(a, b):
    """Each view's rows against the other view's and, but for the row itself, its own."""
    sides = []
    for x, y in ((units(a), units(b)), (units(b), units(a))):
        cross, own = x @ y.T / 0.3, others(x @ x.T / 0.3)
        sides.append((torch.cat([cross, own], 1).logsumexp(1) - cross.diagonal()).mean())
    return sum(sides) / 2


def recoupled(a, b):
    """softplus(s+ / τ - lse of negatives), over both directions."""
    sides = []
    for x, y in ((units(a), units(b)), (units(b), units(a))):
        positive = (x * y).sum(1) / 0.3
        away = torch.cat([others(x @ y.T), others(x @ x.T)], 1).div(0.3).logsumexp(1)
        sides.append(torch.nn.functional.softplus(positive - away).mean())
    return sum(sides) / 2


def weighed(a, b):
    """Rows of NTXent, one direction at a time, times constants 1 / (1 - P)."""
    one = L.Contrast(temperature=0.3, negatives="both")
    rows = torch.cat([one.rows(a, b), one.rows(b, a)])
    return (rows / (1 - torch.exp(-rows)).detach()).mean()


def even_scores(a, b):
    """Two views whose scores, positives and all, are one number."""
    share = torch.sigmoid(a[0, 0] + 0 * b.sum())
    rows = torch.cat([share.sqrt().expand(2 * B, 1), (1 - share).sqrt() * torch.eye(2 * B)], 1)
    return rows[:B], rows[B:]


def of_kernel(gamma):
    return L.Contrast(similarity={"name": "power", "gamma": gamma}, temperature=0.3, negatives="both", forward=0.5)


def among(relation, **options):
    """A relation contrast of rows with themselves."""
    slots = {name: options.pop(name) for name in ("positives",) if name in options}
    loss = L.RelationContrast(relation, temperature=0.3, own=True, **slots)
    return lambda a, b: loss(a, a, **options) + zero(b)


CLAIMS = {
    "RelationContrast: SupCon out": (
        among("labels", labels=LABELS),
        lambda a, b: L.SupCon(0.3)(a, LABELS) + zero(b),
    ),
    "RelationContrast: SupCon in": (
        among("labels", labels=LABELS, positives="average"),
        lambda a, b: L.SupCon(0.3, "in")(a, LABELS) + zero(b),
    ),
    "RelationContrast: WSP": (
        among(["labels", {"name": "nearness", "sigma": 2.0}], labels=LABELS, positions=ALONE.double()),
        lambda a, b: L.WSP(0.3, sigma=2.0)(a, LABELS, positions=ALONE.double()) + zero(b),
    ),
    "RelationContrast: CWCL": (
        L.RelationContrast("teacher", temperature=0.3),
        L.CWCL(0.3, reverse=False),
    ),
    "RelationContrast: InfoNCE with relation=labels without labels": (
        L.RelationContrast(temperature=0.3),
        L.InfoNCE(0.3),
    ),
    "InfoNCE: BPR of s / τ with one negative": (
        lambda a, b: L.InfoNCE(0.3)(a[:2], b[:2]),
        lambda a, b: L.BPR()(*scores_of_two(a, b, 0.3)),
    ),
    "InfoNCE: SampledSoftmax with similarity=dot and no frequencies [defaults]": (
        L.InfoNCE(1.0, "dot"),
        fixed(L.SampledSoftmax()),
    ),
    "InfoNCE: SampledSoftmax with similarity=dot and no frequencies": (
        L.InfoNCE(0.7, "dot"),
        lambda a, b: L.SampledSoftmax(0.7)(a, b, ALONE),
    ),
    "Contrast: InfoNCE at its defaults": (L.Contrast(), L.InfoNCE()),
    "CLIPLoss: the mean of InfoNCE both ways": (L.CLIPLoss(0.3), both(L.InfoNCE(0.3))),
    "CLIPLoss: InfoNCE where z1 = z2": (lambda a, b: L.CLIPLoss(0.3)(a, a) + 0 * b.sum(),
                                        lambda a, b: L.InfoNCE(0.3)(a, a) + 0 * b.sum()),
    "ConVIRT: InfoNCE with forward=1": (L.ConVIRT(0.3, 1.0), L.InfoNCE(0.3)),
    "ConVIRT: CLIPLoss of a fixed temperature": (L.ConVIRT(0.3, 0.5), L.CLIPLoss(0.3)),
    "NTXent: SupCon of the two stacked views": (
        L.NTXent(0.3),
        lambda a, b: L.SupCon(0.3)(torch.cat([a, b]), ALONE.repeat(2)),
    ),
    **{
        f"NTXent: PolyView of two views, any aggregate [{how}]": (
            L.NTXent(0.3),
            lambda a, b, how=how: L.PolyView(0.3, how)(torch.stack([a, b])),
        )
        for how in ("geometric", "arithmetic", "sufficient")
    },
    "NTXent: GRACE's layout": (L.NTXent(0.3), grace),
    "DCL: NTXent after softplus": (lambda a, b: L.DCL(0.3)(a, b) + recoupled(a, b), L.NTXent(0.3)),
    "DCLW: DCL as sigma -> ∞, or where all positives score the same [sigma]": (L.DCLW(0.3, 1e9), L.DCL(0.3)),
    "DCLW: DCL as sigma -> ∞, or where all positives score the same [equal]": (
        lambda a, b: L.DCLW(0.3)(a, 3 * a) + 0 * b.sum(),
        lambda a, b: L.DCL(0.3)(a, 3 * a) + 0 * b.sum(),
    ),
    "MACL: NTXent with alpha=0, its rows weighted": (L.MACL(0.3, 0.0), weighed),
    "AdditiveMargin: NTXent with m=0": (L.AdditiveMargin(0.3, 0.0), L.NTXent(0.3)),
    "AdditiveMargin: InfoNCE with m=0": (L.AdditiveMargin(0.3, 0.0, "cross"), L.InfoNCE(0.3)),
    "AdditiveMargin: InfoNCE with margin=m": (L.AdditiveMargin(0.3, 0.2, "cross"), L.InfoNCE(0.3, margin=0.2)),
    "AngularMargin: NTXent with m=0": (L.AngularMargin(0.3, 0.0), L.NTXent(0.3)),
    "AngularMargin: InfoNCE with m=0": (L.AngularMargin(0.3, 0.0, "cross"), L.InfoNCE(0.3)),
    "KernelInfoNCE: NTXent at half the temperature": (L.KernelInfoNCE(0.6, 2.0), L.NTXent(0.3)),
    "KernelInfoNCE: one kernel alone [share 1]": (L.KernelInfoNCE(0.3, 0.5, "loss", 1.0), of_kernel(0.5)),
    "KernelInfoNCE: one kernel alone [share 0]": (L.KernelInfoNCE(0.3, 0.5, "loss", 0.0), of_kernel(2.0)),
    "MeanShifted: NTXent with a centre of 0": (fixed(L.MeanShifted(0.3)), L.NTXent(0.3)),
    "HashContrast: CLIPLoss of a fixed temperature on (1 + cos) / 2": (
        lambda a, b: L.HashContrast(0.3, 0, 0, 0)(99 * a.sign() + a, 99 * b.sign() + b),
        lambda a, b: L.CLIPLoss(0.6)(a.sign(), b.sign()),
    ),
    "DebiasedContrast: NTXent with tau_plus=0, or where all scores are equal [tau_plus]": (
        L.DebiasedContrast(0.3, 0.0),
        L.NTXent(0.3),
    ),
    "DebiasedContrast: NTXent with tau_plus=0, or where all scores are equal [equal]": (
        lambda a, b: L.DebiasedContrast(0.3, 0.2)(*even_scores(a, b)),
        lambda a, b: L.NTXent(0.3)(*even_scores(a, b)),
    ),
    "HardNegative: DebiasedContrast with beta=0": (L.HardNegative(0.3, 0.0, 0.1), L.DebiasedContrast(0.3, 0.1)),
    "HardNegative: NTXent with beta=0 and tau_plus=0": (L.HardNegative(0.3, 0.0, 0.0), L.NTXent(0.3)),
    "ClusterNegatives: InfoNCE with one cluster": (
        lambda a, b: L.ClusterNegatives(0.3)(a, b, clusters=torch.zeros(B, dtype=torch.long)),
        L.InfoNCE(0.3),
    ),
    "GuidedInfoNCE: InfoNCE where the guide finds nothing closer": (
        lambda a, b: L.GuidedInfoNCE(0.3)(a, b, guide=torch.eye(B, dtype=torch.float64)),
        L.InfoNCE(0.3),
    ),
    "HardNegativeInfoNCE: InfoNCE without hard negatives [without]": (L.HardNegativeInfoNCE(0.3), L.InfoNCE(0.3)),
    "HardNegativeInfoNCE: InfoNCE without hard negatives, or with weight=0 [weight]": (
        lambda a, b: L.HardNegativeInfoNCE(0.3, 0.0)(a, b, hard=HARD),
        L.InfoNCE(0.3),
    ),
    "CLP: HardNegativeInfoNCE with penalty=0": (
        lambda a, b: L.CLP(0.3, 0.0)(a, b, hard=HARD, queries=QUERIES),
        lambda a, b: L.HardNegativeInfoNCE(0.3)(a, b, hard=HARD),
    ),
    "DCLR: InfoNCE with ceiling > 1 and noise=0": (L.DCLR(0.3, 1.1, 0.0), L.InfoNCE(0.3)),
    "CLAIF: InfoNCE with scores of 1": (
        lambda a, b: L.CLAIF(0.3)(a, b, scores=torch.ones(B, dtype=torch.float64)),
        L.InfoNCE(0.3),
    ),
    "CWCL: twice CLIPLoss of a fixed temperature": (
        lambda a, b: L.CWCL(0.3)(a[:2], b[:2], teacher=torch.tensor([[1.0, 0], [-1, 0]])),
        lambda a, b: 2 * L.CLIPLoss(0.3)(a[:2], b[:2]),
    ),
    "CWCL: ICon with divergence=cross_entropy": (
        L.CWCL(0.3, reverse=False),
        lambda a, b: L.ICon(0.3, divergence="cross_entropy")(
            a, b, targets=((units(b) @ units(b).T + 1) / 2).detach()
        ),
    ),
    "ICon: InfoNCE without targets": (L.ICon(0.3), L.InfoNCE(0.3)),
    "SampledSoftmax: InfoNCE of the same similarity with even log_q": (
        lambda a, b: L.SampledSoftmax(0.7, "cosine")(a, b, log_q=EVEN),
        L.InfoNCE(0.7),
    ),
    "SampledSoftmax: catalogue_softmax with all items and log_q = 0": (
        lambda a, b: L.SampledSoftmax()(a, b, log_q=0 * EVEN),
        lambda a, b: catalogue_softmax(a, b, ALONE).mean(),
    ),
}  # fmt: skip

RELATIONS = {
    "CLP of queries at their negatives = (1 - penalty) of the contrast": (
        lambda a, b: L.CLP(0.3, 0.2)(a, b, hard=HARD, queries=HARD),
        lambda a, b: 0.8 * L.HardNegativeInfoNCE(0.3)(a, b, hard=HARD),
    ),
    "HardNegativeInfoNCE shared = InfoNCE with further rows": (
        lambda a, b: L.HardNegativeInfoNCE(0.3)(a, b, hard=HARD),
        lambda a, b: L.InfoNCE(0.3)(a, torch.cat([b, HARD.flatten(0, 1)])),
    ),
    "ICon Gaussian = InfoNCE of distances": (
        L.ICon(0.3, "square_euclidean"),
        L.InfoNCE(0.3, similarity="square_euclidean"),
    ),
    "InfoNCE of -distance² = of cosines at half, unit rows": (
        L.InfoNCE(0.6, {"name": "square_euclidean", "unit": True}),
        L.InfoNCE(0.3),
    ),
    "LogRatio = PairRank of lse and softplus": (
        L.Contrast(temperature=0.3, kernel=LogRatio()),
        L.Contrast(temperature=0.3, kernel=PairRank("softplus", 0.0, "lse")),
    ),
}


@pytest.mark.parametrize("key", [*CLAIMS, *RELATIONS])
def test_reduces(key):
    check((CLAIMS | RELATIONS)[key], draw(B, D), draw(B, D, seed=6))


def test_inequalities():
    """Jensen and orders between siblings, row by row."""
    a, b = draw(B, D, seed=8), draw(B, D, seed=9)
    assert bool((L.DCL(0.3).rows(a, b) < L.NTXent(0.3).rows(a, b)).all())
    assert bool((L.SupCon(0.3, "in").rows(a, LABELS) <= L.SupCon(0.3).rows(a, LABELS) + 1e-12).all())
    assert L.InfoNCE(0.3)(a, b) >= 0
    target = (units(b) @ units(b).T + 1) / 2
    target = target / target.sum(1, keepdim=True)
    assert L.CWCL(0.3, reverse=False)(a, b) >= torch.special.entr(target).sum(1).mean() - 1e-12
    for m in (0.0, 0.1, 0.3):
        assert L.AdditiveMargin(0.3, m + 0.1)(a, b) > L.AdditiveMargin(0.3, m)(a, b)
    p, n = draw(B, seed=10), draw(B, 4, seed=11)
    auc = (p[:, None, None] > n).double().mean()
    for tau in (0.1, 1.0):
        assert L.MWLoss(tau)(p, n) >= math.log(2) * (1 - auc)
