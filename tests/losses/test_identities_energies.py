"""What energies, regressions, moments, set functions and assignments reduce to."""

import math

import pytest
import torch

import gcl.losses as L
from gcl.losses.functional import gaussian_lse
from tests.losses.identities import LABELS, B, D, check, draw, fixed, units, zero

SIAMESE = fixed(L.SimSiam())
EDGES = torch.tensor([[0, 2, 1, 0, 0], [2, 1, 1, 0, 0], [1, 1, 0, 0, 1], [0, 0, 0, 2, 3], [0, 0, 1, 3, 0]])


def squares(a, b):
    return (units(a) - units(b)).square().sum(1)


def uncorrelated(z):
    """Columns of mean 0 at right angles, of lengths that follow z."""
    return torch.linalg.qr(z - z.mean(0)).Q * (1 + z[0].abs())


def ring(turn, points=4000):
    """Points evenly on a circle, and the same turned."""
    angle = torch.arange(points, dtype=turn.dtype) * 2 * math.pi / points
    return tuple(torch.stack([torch.cos(x), torch.sin(x)], 1) for x in (angle + 0 * turn, angle + turn))


def content(a, b):
    """Gaussians of unit variance about a and b, their sensitive parts too far from anything to count."""
    still, far = torch.zeros_like(a), torch.full_like(a, 1e3)
    return tuple(torch.cat([mean, still], 1) for mean in (a, b, far, -far))


def edges(z, times=400):
    """Embeddings of both ends of every edge of a weighted graph of views, each edge repeated."""
    ends = [(i, j) for i in range(5) for j in range(5) for _ in range(int(EDGES[i, j]) * times)]
    return tuple((z[:5] / 4)[torch.tensor(end)] for end in zip(*ends, strict=True))


def factorisation(z):
    """||A - F F^T||² - ||A||², A the graph normalised by degrees, rows of F weighted by their square roots."""
    share = EDGES.double() / EDGES.sum()
    root = share.sum(1).sqrt()
    graph, factor = share / (root[:, None] * root), root[:, None] * z[:5] / 4
    return (graph - factor @ factor.T).square().sum() - graph.square().sum()


def even_predictor(a, b):
    """DirectPred in training, seeing rows whose correlation is a multiple of I."""
    loss = fixed(L.DirectPred(eps=0.2)).train()
    return loss(torch.linalg.qr(a).Q, torch.linalg.qr(b).Q)


def near_prototypes(a, b):
    """A row near each of five unit prototypes, in two views."""
    return torch.stack([torch.eye(D) + z[:D] / 20 for z in (a, b)])


def swav_of(prototypes):
    loss = fixed(L.SwAV(len(prototypes), 0.3, 0.002, iterations=20))
    with torch.no_grad():
        loss.prototypes.copy_(prototypes)
    return loss


def fixed_labels(a, b):
    """Cross-entropy of the row number among cosines with the prototypes."""
    logits = units(near_prototypes(a, b)) / 0.3
    return sum(torch.nn.functional.cross_entropy(x, torch.arange(D)) for x in logits) / 2


def cut(z, across, inside):
    """A weighted sum of all cosines."""
    weight = torch.where(LABELS[:, None] == LABELS, inside, across)
    return (weight * (units(z) @ units(z).T)).sum()


def own_directions(z):
    """Rows of a label have coordinates of their own."""
    return z * (torch.tensor([0, 0, 1, 1, 2]) == LABELS[:, None])


CLAIMS = {
    "AlignUniform: InfoNCE less log M for many even candidates": (
        lambda a, b: L.InfoNCE(0.3)(*ring(a[0, 0])) - math.log(4000) + zero(b),
        lambda a, b: L.AlignUniform(0.6, t=1 / 0.6)(*ring(a[0, 0])) / 0.6 + zero(b),
        1e-3,
    ),
    "AlignUniform: alignment alone with gamma=0": (L.AlignUniform(0.0), lambda a, b: squares(a, b).mean()),
    "CACR: mean attraction less mean repulsion": (
        lambda a, b: L.CACR(0.0, 0.0)(torch.stack([a, b])),
        lambda a, b: (
            squares(a, b).mean() - ((units(a)[:, None] - units(b)).square().sum() - squares(a, b).sum()) / (B * (B - 1))
        ),
    ),
    "DecoupledUniformity: the uniformity of AlignUniform where the views are equal": (
        lambda a, b: L.DecoupledUniformity()(torch.stack([a, a])) + zero(b),
        lambda a, b: L.AlignUniform()(a, a) + zero(b),
    ),
    "Dispersive: the uniformity of AlignUniform at t = 1 / τ": (
        lambda a, b: L.Dispersive("l2", 0.5, self_pairs=False)(units(a), units(b)),
        lambda a, b: L.AlignUniform(1.0, t=2.0)(a, b) - L.AlignUniform(0.0)(a, b),
    ),
    "SepCLR: AlignUniform with t = 1 / (2τ) on the common part": (
        lambda a, b: L.SepCLR(0.4, 0.0, 0.0)((a, b, b, a)),
        lambda a, b: L.AlignUniform(0.8, t=1 / 0.8)(a, b) / 0.8,
    ),
    "KCL: -2 mean K of positives with gamma=0": (
        L.KCL(0.0, 1.5),
        lambda a, b: -2 * torch.exp(-1.5 * squares(a, b)).mean(),
    ),
    "SpectralContrast: a low-rank factorisation": (
        lambda a, b: L.SpectralContrast(1e6)(*edges(a)) + zero(b),
        lambda a, b: factorisation(a) + zero(b),
        1e-4,
    ),
    "MMD: 0 for equal samples, biased": (lambda a, b: L.MMD((0.5, 2.0))(a, a.flip(0)) + zero(b), zero),
    "Farcon: ||μ - μ'||² / (2d) between contents of unit variance": (
        lambda a, b: L.Farcon("gaussian")(content(a, b)),
        lambda a, b: (a - b).square().sum(1).mean() / (2 * D),
    ),
    **{
        f"MutualInformation: -log K for one-hot, balanced assignments [{form}]": (
            lambda a, b, form=form: L.MutualInformation(form)(*(200 * torch.eye(D) + z[:D] for z in (a, b))),
            lambda a, b: zero(a, b) - math.log(D),
        )
        for form in ("marginal", "joint")
    },
    "SwAV: cross-entropy of fixed labels where codes are one-hot; log K where all scores are equal [codes]": (
        lambda a, b: swav_of(torch.eye(D))(near_prototypes(a, b)),
        fixed_labels,
    ),
    "SwAV: cross-entropy of fixed labels where codes are one-hot; log K where all scores are equal [equal]": (
        lambda a, b: swav_of(torch.eye(D)[:1].expand(4, D))(torch.stack([a, b])),
        lambda a, b: zero(a, b) + math.log(4),
    ),
    "SCoRe: a quantity linear in the similarities with function=cut [information]": (
        lambda a, b: L.SCoRe("cut", 0.4)(a, LABELS) + zero(b),
        lambda a, b: cut(a, 1.0, -0.4) + zero(b),
    ),
    "SCoRe: a quantity linear in the similarities with function=cut [correlation]": (
        lambda a, b: L.SCoRe("cut", 0.4, correlation=True)(a, LABELS) + zero(b),
        lambda a, b: cut(a, 0.4, 0.0) + zero(b),
    ),
    "SCoRe: 0 with function=logdet, correlation=True": (
        lambda a, b: L.SCoRe("logdet", 0.4, correlation=True)(own_directions(a), LABELS) + zero(b),
        zero,
    ),
    "BarlowTwins: 0 for equal views of uncorrelated columns": (
        lambda a, b: L.BarlowTwins(0.5)(uncorrelated(a), uncorrelated(a)) + zero(b),
        zero,
    ),
    "CCASSG: -d for equal views of uncorrelated columns": (
        lambda a, b: L.CCASSG(0.5)(uncorrelated(a), uncorrelated(a)) + zero(b),
        lambda a, b: zero(a, b) - D,
    ),
    "VICReg: invariance * the mean squared error": (L.VICReg(3.0, 0.0, 0.0), lambda a, b: 3 * (a - b).square().mean()),
    "BYOL: the alignment of AlignUniform": (L.BYOL(), lambda a, b: L.AlignUniform(0.0)(a, b.detach()) + zero(b)),
    "SimSiam: (BYOL(h(z1), z2) + BYOL(h(z2), z1)) / 4 - 1": (
        SIAMESE,
        lambda a, b: (L.BYOL()(SIAMESE.predictor(a), b) + L.BYOL()(SIAMESE.predictor(b), a)) / 4 - 1,
    ),
    "PixPro: BYOL both ways / 4 - 1": (fixed(L.PixPro(1e6)), lambda a, b: (L.BYOL()(a, b) + L.BYOL()(b, a)) / 4 - 1),
    "DirectPred: BYOL both ways with a predictor (1 + eps) I": (
        even_predictor,
        lambda a, b: (
            (L.BYOL()(1.2 * (p := torch.linalg.qr(a).Q), q := torch.linalg.qr(b).Q) + L.BYOL()(1.2 * q, p)) / 2
        ),
    ),
    "MCLRecRegulariser: 0 where all rows are equal": (
        lambda a, b: L.MCLRecRegulariser()(a[:1].expand(B, D), a[:1].expand(B, D)) + zero(b),
        zero,
    ),
}

RELATIONS = {
    "an InfoNCE row = alignment + its own potential": (
        L.InfoNCE(0.3),
        lambda a, b: (
            squares(a, b) / 0.6 + gaussian_lse(units(a), units(b), 1 / 0.6, skip_own=False)
        ).mean(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("key", [*CLAIMS, *RELATIONS])
def test_reduces(key):
    check((CLAIMS | RELATIONS)[key], draw(B, D), draw(B, D, seed=6))


def test_the_limit_of_info_nce_is_met_by_even_candidates_only():
    """The gap falls as 1 / M on a ring; of a drawn cloud the log of the mean stays above the mean of logs."""
    turn, gaps = torch.tensor(0.4, dtype=torch.float64), []
    for points in (100, 1000):
        rows = ring(turn, points)
        expected = L.AlignUniform(0.6, t=1 / 0.6)(*rows) / 0.6
        gaps.append((L.InfoNCE(0.3)(*rows) - math.log(points) - expected).item())
    assert gaps[0] == pytest.approx(10 * gaps[1], rel=0.1) and 0 < gaps[1] < 0.01
    cloud = draw(2000, 3) + torch.tensor([1.0, 0.0, 0.0])
    value = L.InfoNCE(0.3)(cloud, cloud) - math.log(2000)
    assert value < L.AlignUniform(0.6, t=1 / 0.6)(cloud, cloud) / 0.6 - 0.01
