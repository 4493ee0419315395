"""The check values in one table: orthogonal rows O, collapsed rows C, classes K, tau 0.5, four rows."""

import math

import pytest
import torch

import gcl.losses as L
from gcl.losses.functional import log_mean_potential
from gcl.losses.sets import joint_entropy_loss

O4 = torch.eye(4, dtype=torch.float64)
C4 = O4[:1].expand(4, 4).clone()
K_LABELS = torch.arange(3).repeat_interleave(4)
K34 = torch.eye(3, dtype=torch.float64)[K_LABELS]
HADAMARD = torch.tensor([[1.0, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]], dtype=torch.float64)
FIVE = torch.tensor([0, 0, 1, 2, 3])
SPREAD = math.log1p(math.exp(-1))


def pair(loss):
    return lambda z: loss(z, z)


def views(loss, number):
    return lambda z: loss(z.expand(number, *z.shape))


def scores(loss):
    """Every row's own similarity against those with the other rows."""
    off = ~torch.eye(4, dtype=torch.bool)
    return lambda z: loss((z @ z.T).diagonal(), (z @ z.T)[off].view(4, 3))


ON_BOTH = {
    "InfoNCE": (pair(L.InfoNCE(0.5)), 0.340753, 1.386294),
    "CLIPLoss": (pair(L.CLIPLoss(0.5)), 0.340753, 1.386294),
    "ConVIRT": (pair(L.ConVIRT(0.5)), 0.340753, 1.386294),
    "NTXent": (pair(L.NTXent(0.5)), 0.594438, 1.945910),
    "DCL": (pair(L.DCL(0.5)), -0.208241, 1.791759),
    "DCLW": (pair(L.DCLW(0.5)), -0.208241, 1.791759),
    "AdditiveMargin": (pair(L.AdditiveMargin(0.5, 0.1)), 0.689035, None),
    "AngularMargin": (pair(L.AngularMargin(0.5, 0.1)), 0.598928, None),
    "MVInfoNCE, 2 views": (views(L.MVInfoNCE(0.5), 2), 0.594438, 1.945910),
    "MVInfoNCE, 3 views": (views(L.MVInfoNCE(0.5), 3), 0.475618, 1.704748),
    "DHEL": (pair(L.DHEL(0.5)), 0.197225, 4.197225),
    "MVDHEL, 2 views": (views(L.MVDHEL(0.5), 2), 0.197225, 4.197225),
    "MVDHEL, 3 views": (views(L.MVDHEL(0.5), 3), 0.197225, 6.197225),
    "PolyView, 2 views": (views(L.PolyView(0.5), 2), 0.594438, 1.945910),
    "PolyView geometric": (views(L.PolyView(0.5, "geometric"), 3), 0.796614, 2.302585),
    "PolyView arithmetic": (views(L.PolyView(0.5, "arithmetic"), 3), 0.796614, 2.302585),
    "PolyView sufficient": (views(L.PolyView(0.5, "sufficient"), 3), 0.796614, 2.302585),
    "CWCL": (pair(L.CWCL(0.5, reverse=False)), 1.540753, None),
    "CKD": (pair(L.CKD(0.5, size=0).build(4, 4)), 0.340753, 1.386294),
    "MACL": (pair(L.MACL(0.5, 0.5, 0.0)), 1.548057, None),
    "MACL, small": (pair(L.MACL(0.1, 0.5, 0.0)), 1.003808, None),
    "SogCLR": (pair(L.SogCLR(0.5)), -1.0, 0.0),
    "KernelInfoNCE, gamma 2": (pair(L.KernelInfoNCE(0.5, 2.0)), 0.104264, 1.945910),
    "KernelInfoNCE, gamma 1": (pair(L.KernelInfoNCE(0.5, 1.0)), 0.303532, 1.945910),
    "KernelInfoNCE, gamma 0.5": (pair(L.KernelInfoNCE(0.5, 0.5)), 0.442237, 1.945910),
    "DebiasedContrast": (pair(L.DebiasedContrast(0.5, 0.1)), 0.211532, 1.945910),
    "HardNegative": (pair(L.HardNegative(0.5, 1.0, 0.1)), 0.211532, 1.945910),
    "uniformity": (lambda z: log_mean_potential(z, 2.0), -4.0, 0.0),
    "AlignUniform": (pair(L.AlignUniform()), -4.0, 0.0),
    "CACR": (views(L.CACR(), 2), -2.0, 0.0),
    "DecoupledUniformity": (views(L.DecoupledUniformity(), 2), -4.0, 0.0),
    "Dispersive": (pair(L.Dispersive("l2", 0.5)), -1.332804, 0.0),
    "Dispersive, other rows": (pair(L.Dispersive("l2", 0.5, self_pairs=False)), -4.0, 0.0),
    "Dispersive, per dimension": (pair(L.Dispersive("l2", 1.0, per_dimension=True)), -0.349702, 0.0),
    "joint entropy": (lambda z: joint_entropy_loss(z, z, 0.5), -1.332804, 0.0),
    "SpectralContrast": (pair(L.SpectralContrast()), -2.0, -1.0),
    "KCL": (pair(L.KCL()), -1.413900, 30.0),
    "BPR": (scores(L.BPR()), SPREAD, math.log(2)),
    "MWLoss": (scores(L.MWLoss(1.0)), 0.313262, 0.693147),
    "MWLoss, tau 0.5": (scores(L.MWLoss(0.5)), 0.126928, 0.693147),
    "EnergyHinge's hinge": (lambda z: L.EnergyHinge(0.5, 0.2, 1.0)(z, z) - L.InfoNCE(0.5)(z, z), 0.0, 0.2),
    "SigLIP": (pair(L.SigLIP()), 0.693283, None),
    "MCLRecRegulariser": (pair(L.MCLRecRegulariser(0.5)), 4.0, 0.0),
    "BYOL": (pair(L.BYOL()), 0.0, 0.0),
    "VICReg": (pair(L.VICReg()), None, 24.75),
    "GML": (lambda z: L.GML(0.5)(z.repeat(2, 1), torch.arange(4).repeat(2)), 0.340753, None),
    "GroupContrast": (views(L.GroupContrast(0.5), 3), 0.340753, 1.386294),
    "GRAM, two equal modalities": (lambda z: L.GRAM(0.5, smoothing=0.0)((z, z, z)), 1.386294, 1.386294),
    "InterCLR before its bank is filled": (pair(L.InterCLR(0.5).build(4, 4)), 0.340753, 1.386294),
    "Triplet": (lambda z: L.Triplet(0.3, "square")(z.repeat(2, 1), torch.arange(4).repeat(2)), 0.0, 0.3),
}


@pytest.mark.parametrize("name", ON_BOTH)
def test_orthogonal_and_collapsed(name):
    value, on_eye, on_collapsed = ON_BOTH[name]
    if on_eye is not None:
        assert float(value(O4)) == pytest.approx(on_eye, abs=1e-6)
        assert float(value(O4.float())) == pytest.approx(on_eye, abs=1e-4)
    if on_collapsed is not None:
        assert float(value(C4)) == pytest.approx(on_collapsed, abs=1e-6)


OTHERS = {
    "SupCon out": (lambda: L.SupCon(0.5)(K34, K_LABELS), 1.406754),
    "SupCon in": (lambda: L.SupCon(0.5, "in")(K34, K_LABELS), 1.406754),
    "WSP": (lambda: L.WSP(0.5)(K34, K_LABELS, positions=torch.ones(12)), 1.406754),
    "ICon": (lambda: L.ICon(0.5, alpha=0.2, divergence="cross_entropy")(O4, O4), 0.640753),
    "DecoupledUniformity, prior": (
        lambda: L.DecoupledUniformity(ridge=0.01, kernel="cosine")(O4.expand(2, 4, 4), prior=O4),
        -3.921184,
    ),
    "uniformity of an antipodal pair": (
        lambda: log_mean_potential(torch.tensor([[1.0, 0], [-1, 0]], dtype=torch.float64), 2.0),
        -8.0,
    ),
    "MMD of two points": (lambda: L.MMD(sigma=1.0)(O4[:1], O4[1:2]), 1.264241),
    "Farcon, gaussian": (lambda: L.Farcon("gaussian")((torch.ones(4, 6),) * 4), 3.0),
    "Farcon, student": (lambda: L.Farcon("student")((torch.ones(4, 6),) * 4), 3.0),
    "BarlowTwins on Hadamard": (lambda: L.BarlowTwins()(HADAMARD, HADAMARD), 0.0),
    "CCASSG on Hadamard": (lambda: L.CCASSG()(HADAMARD, HADAMARD), -3.0),
    "VICReg on Hadamard": (lambda: L.VICReg()(HADAMARD, HADAMARD), 0.0),
    "SwAV of equal scores": (lambda: L.SwAV(7).build(4, 5)(torch.zeros(2, 4, 5)), math.log(7)),
    "SCoRe facility": (lambda: L.SCoRe("facility")(K34, K_LABELS), 0.0),
    "SCoRe cut": (lambda: L.SCoRe("cut")(K34, K_LABELS), -24.0),
    "SCoRe cut correlation": (lambda: L.SCoRe("cut", correlation=True)(K34, K_LABELS), 0.0),
    "SCoRe logdet": (lambda: L.SCoRe("logdet")(K34, K_LABELS), -1.726092),
    "SCoRe logdet correlation": (lambda: L.SCoRe("logdet", correlation=True)(K34, K_LABELS), 0.0),
    "MutualInformation, balanced": (lambda: L.MutualInformation()(1e3 * O4, 1e3 * O4), -math.log(4)),
    "MutualInformation, even": (lambda: L.MutualInformation()(0 * O4, 0 * O4), 0.0),
    "JSD of zeros": (lambda: L.JSD()(0 * O4, O4), 0.0),
    "JSD of zeros as entropy": (lambda: L.JSD(bce=True)(0 * O4, O4), 2 * math.log(2)),
    "MultiSimilarity": (lambda: _row_of_four(L.MultiSimilarity()), 0.156631),
    "Circle of one positive and three negatives": (lambda: _row_of_four(L.Circle(0.25, 1.0)), 1.294039),
    "Circle where all are equal": (lambda: L.Circle(0.25, 1.0).rows(C4[:1].repeat(5, 1), FIVE)[0], 2.103723),
    "GroCo in order": (lambda: _gro_co(1.0), 0.287682),
    "GroCo of equal scores": (lambda: _gro_co(0.0), 0.693147),
}


def _row_of_four(loss):
    """Value of a row with one positive at cosine 1 and three negatives at 0."""
    return loss.rows(O4[[0, 0, 1, 2, 3]], FIVE)[0]


def _gro_co(gap):
    """One positive and one negative, the positive closer by ``gap``."""
    near = torch.tensor([1 - gap, (1 - (1 - gap) ** 2) ** 0.5, 0, 0], dtype=torch.float64)
    own = torch.stack([O4[0], near])
    return L.GroCo(1).rows(torch.stack([own, O4[[0, 0]]]))[0]


@pytest.mark.parametrize("name", OTHERS)
def test_other_values(name):
    value, expected = OTHERS[name]
    assert float(value()) == pytest.approx(expected, abs=1e-6)
