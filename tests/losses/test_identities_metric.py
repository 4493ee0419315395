"""What objectives of labels, targets and given scores reduce to."""

import pytest
import torch

import gcl.losses as L
from gcl.losses.slots import PairRank
from tests.losses.identities import ALONE, LABELS, B, D, both, check, draw, fixed, others, units, zero

TWO = LABELS.clamp_max(1)


def uniform_targets(labels):
    return ((labels[:, None] == labels) & ~torch.eye(len(labels), dtype=torch.bool)).double()


def kernel(positions):
    gap = (positions[:, None] - positions).double()
    return torch.exp(-gap.square() / 2) * (1 - torch.eye(len(positions), dtype=torch.float64))


def tags_of(a, b):
    """TagBCE whose tag vectors are ten times z2's unit rows."""
    loss = fixed(L.TagBCE(B))
    given = {"head.weight": 10 * units(b), "head.bias": torch.full((B,), -10.0, dtype=torch.float64)}
    return torch.func.functional_call(loss, given, (units(a), ALONE))


def open_gates():
    loss = fixed(L.GatedContrast(3, mixed=0, temperature=0.3))
    with torch.no_grad():
        loss.filter.weight.zero_()
        loss.filter.bias.fill_(50.0)
    return loss


def pairs_of(z):
    """Of rows 0 .. 5, labels 0 1 2 0 1 2: InfoNCE of each against its partner and all other rows."""
    rows = []
    for i in range(6):
        p = (i + 3) % 6
        rows.append(L.InfoNCE(0.3)(z[i : i + 1], z[[p, *(k for k in range(6) if k not in (i, p))]]))
    return sum(rows) / 6


def prototypes_of(z):
    """Of labels 0 0 1 2: rows 0 and 1 against each other and the single rows of the other labels."""
    return sum(L.InfoNCE(0.3)(z[i : i + 1], z[[1 - i, 2, 3]]) for i in (0, 1)) / 2


def hinge(a, b):
    """EnergyHinge without its contrast, every gap above zero."""
    return L.EnergyHinge(0.3, 2.5, 1.0)(a, b) - L.InfoNCE(0.3)(a, b)


def opposite(z):
    """Two views of two things, all but opposite within a view."""
    first, second = z[0], z[1]
    return torch.stack([first, 0.01 * z[2] - first]), torch.stack([second, 0.01 * z[3] - second])


def stacked(function):
    """A labelled loss of two stacked views, the row number as label."""
    return lambda a, b: function(torch.cat([a, b]), torch.arange(len(a)).repeat(2))


def halves(z):
    """Two views of B things at cosines of ½ with all others; moved by z when z is."""
    rows = torch.cat([torch.ones(2 * B, 1), torch.eye(2 * B)], 1).double()
    shift = torch.nn.functional.pad(z, (0, 2 * B + 1 - D)).repeat(2, 1)
    moved = rows + torch.linspace(-1, 1, 2 * B, dtype=z.dtype)[:, None] * (shift - shift.detach())
    return moved[:B], moved[B:]


def single_level(z):
    """(1/α) log(1 + Σ_p e^{-α (s - t)}) + (1/β) log(1 + Σ_n e^{β (s - t)}), α = 2, β = 50, t = ½."""
    s, rows = units(z) @ units(z).T, []
    for i in range(B):
        p = sum(torch.exp(-2 * (s[i, j] - 0.5)) for j in range(B) if j != i and LABELS[j] == LABELS[i])
        n = sum(torch.exp(50 * (s[i, j] - 0.5)) for j in range(B) if LABELS[j] != LABELS[i])
        rows.append(torch.log(1 + p) / 2 + torch.log(1 + n) / 50)
    return sum(rows) / B


def two_negatives(a, b):
    """Scores of two positives, and of their only negatives."""
    s = a[:2] @ b[:2].T
    return s.diagonal(), s.flip(1).diagonal()[:, None]


def sig_lip_by_jsd(a, b):
    """JSD of rows whose inner products are k s + b; its mean over negatives becomes their sum."""
    one = torch.ones(B, 1, dtype=a.dtype)
    x, y = torch.cat([2**0.5 * units(a), one], 1), torch.cat([2**0.5 * units(b), -one], 1)
    pull = torch.log(1 + torch.exp(-(x * y).sum(1))).mean()
    return pull + (B - 1) * (L.JSD(bce=True)(x, y) - pull)


def apart(z):
    """Rows farther than 1 from each other, as their differences are."""
    return z / 9 + 3 * torch.eye(B, D, dtype=z.dtype) + torch.arange(B, dtype=z.dtype)[:, None]


LABELLED = {
    **{
        f"SupCon: InfoNCE over all other rows with one positive a row [{variant}]": (
            lambda z, v=variant: L.SupCon(0.3, v)(z[:6], torch.arange(3).repeat(2)),
            pairs_of,
        )
        for variant in ("out", "in")
    },
    "SupCon: ICon with own=True, divergence=cross_entropy and targets uniform": (
        lambda z: L.SupCon(0.3)(z, LABELS),
        lambda z: L.ICon(0.3, own=True, divergence="cross_entropy")(z, z, targets=uniform_targets(LABELS)),
    ),
    "ICon: SupCon (out) with own=True, divergence=cross_entropy": (
        lambda z: L.ICon(0.3, own=True, divergence="cross_entropy")(z, z, targets=uniform_targets(LABELS)),
        lambda z: L.SupCon(0.3)(z, LABELS),
    ),
    "ICon: WSP with own=True, divergence=cross_entropy and kernel targets": (
        lambda z: L.ICon(0.3, own=True, divergence="cross_entropy")(z, z, targets=kernel(LABELS)),
        lambda z: L.WSP(0.3, use_labels=False)(z, LABELS, positions=LABELS),
    ),
    "WSP: SupCon with variant=out without positions": (
        lambda z: L.WSP(0.3)(z, LABELS),
        lambda z: L.SupCon(0.3)(z, LABELS),
    ),
    "ConR: SupCon (out) with push=0": (
        lambda z: L.ConR(0.3, 0.0, 0.0)(z, LABELS.double()),
        lambda z: L.SupCon(0.3)(z, LABELS),
    ),
    "SupReMix: SupCon (out) on exact targets": (
        lambda z: L.SupReMix(0.3, 0, magnify=False)(z, LABELS.double()),
        lambda z: L.SupCon(0.3)(z, LABELS),
    ),
    "GatedContrast: SupCon with gates of 1 and mixed=0": (
        lambda z: open_gates()(z, LABELS),
        lambda z: L.SupCon(0.3)(z, LABELS),
    ),
    "GML: InfoNCE over class prototypes with one key a label": (
        lambda z: L.GML(0.3)(z[:4], torch.tensor([0, 0, 1, 2])),
        prototypes_of,
    ),
    "Triplet: EnergyHinge's hinge both ways with mining=hard": (
        lambda z: stacked(L.Triplet(2.5, mining="hard"))(*opposite(z)),
        lambda z: both(hinge)(*opposite(z)),
    ),
    "Circle: InfoNCE of τ = 1 / g with margin=0.5": (
        lambda z: stacked(L.Circle(0.5, 4.0))(*halves(z)),
        lambda z: L.NTXent(0.25)(*halves(z)),
    ),
    "MultiSimilarity: the single-level loss of Wang et al.": (lambda z: L.MultiSimilarity()(z, LABELS), single_level),
    "SCOREQ: Triplet of unit rows with distance=euclidean and margin=1": (
        lambda z: L.SCOREQ()(z, 3.0 * TWO),
        lambda z: L.Triplet(1.0, "euclidean")(units(z), TWO),
    ),
}

PAIRED = {
    "TagBCE: SigLIP / T on unit rows": (tags_of, lambda a, b: L.SigLIP(learn=False).double()(a, b) / B),
    "SupCon: NTXent on two stacked views [out]": (stacked(L.SupCon(0.3)), L.NTXent(0.3)),
    "SupCon: NTXent on two stacked views [in]": (stacked(L.SupCon(0.3, "in")), L.NTXent(0.3)),
    "WSP: NTXent on two stacked views of distinct positions": (
        lambda a, b: L.WSP(0.3, sigma=0.01)(torch.cat([a, b]), torch.zeros(2 * B), positions=ALONE.repeat(2)),
        L.NTXent(0.3),
    ),
    "BPR: InfoNCE with one negative at τ = 1": (
        lambda a, b: L.BPR()(*two_negatives(a, b)),
        lambda a, b: L.InfoNCE(1.0, "dot")(a[:2], b[:2]),
    ),
    "BPR: MWLoss of one row and its own negatives": (
        lambda a, b: L.BPR()(a[0, :1], b[:1]),
        lambda a, b: L.MWLoss()(a[0, :1], b[:1]),
    ),
    "MWLoss: BPR where rows are alone with their own negatives": (
        lambda a, b: sum(L.MWLoss()(a[i, :1], b[i : i + 1]) for i in range(B)) / B,
        lambda a, b: L.BPR()(a[:, 0], b),
    ),
    "Discriminator: JSD of given scores": (
        lambda a, b: L.Discriminator(True)((a @ b.T).diagonal(), others(a @ b.T)),
        L.JSD(),
    ),
    "JSD: Discriminator of the scores of two views": (
        L.JSD(bce=True),
        lambda a, b: L.Discriminator()((a @ b.T).diagonal(), others(a @ b.T)),
    ),
    "SigLIP: JSD with bce=True of k s + b, negatives summed": (
        L.SigLIP(2.0, -1.0, learn=False).double(),
        sig_lip_by_jsd,
    ),
    "MarginContrastive: the squared distance of positives": (
        lambda a, b: L.MarginContrastive(margin=1.0)(apart(a), apart(b)),
        lambda a, b: (apart(a) - apart(b)).square().sum(1).mean(),
    ),
    "EnergyHinge: InfoNCE with weight=0": (L.EnergyHinge(0.3, weight=0.0), L.InfoNCE(0.3)),
}

CLAIMS = LABELLED | PAIRED

RELATIONS = {
    "ICon of a label's rows = SupCon less the entropy of the targets": (
        lambda z, b: L.ICon(0.3, own=True)(z, z, targets=uniform_targets(LABELS)) + zero(b),
        lambda z, b: L.SupCon(0.3)(z, LABELS) - uniform_targets(LABELS).sum(1).log().mean() + zero(b),
    ),
    "Triplet, hard, of stacked views = the hinge over both views": (
        stacked(L.Triplet(0.2, mining="hard")),
        L.Contrast(temperature=1.0, kernel=PairRank("hinge", 0.2, "hardest"), negatives="both", forward=0.5),
    ),
    "EnergyHinge - InfoNCE = the hinge of the hardest": (
        lambda a, b: L.EnergyHinge(0.3, 0.2, 2.0)(a, b) - L.InfoNCE(0.3)(a, b),
        lambda a, b: 2 * (0.2 - (s := units(a) @ units(b).T).diagonal() + others(s).amax(1)).clamp_min(0).mean(),
    ),
}


@pytest.mark.parametrize("key", LABELLED)
def test_reduces_with_labels(key):
    check(LABELLED[key], draw(B, D, seed=6))


@pytest.mark.parametrize("key", [*PAIRED, *RELATIONS])
def test_reduces(key):
    check((PAIRED | RELATIONS)[key], draw(B, D), draw(B, D, seed=6))


def test_own_view_rows_join_the_negatives_of_a_triplet():
    """Where they may be the hardest, the hinge of the other view alone is no more than it."""
    a, b = draw(B, D), draw(B, D, seed=6)
    away = both(lambda x, y: L.EnergyHinge(0.3, 0.2, 1.0)(x, y) - L.InfoNCE(0.3)(x, y))(a, b)
    assert stacked(L.Triplet(0.2, mining="hard"))(a, b) > away + 0.01


def test_the_rows_of_the_circle_are_at_half():
    cosines = units(torch.cat(halves(draw(B, D)))) @ units(torch.cat(halves(draw(B, D)))).T
    torch.testing.assert_close(others(cosines), torch.full((2 * B, 2 * B - 1), 0.5, dtype=torch.float64))
