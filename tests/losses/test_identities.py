"""What an objective reduces to, as it says itself: value and gradient on random rows."""

import math

import pytest
import torch

import gcl.losses as L
from gcl.losses.functional import catalogue_softmax, gaussian_lse
from gcl.losses.slots import LogRatio, PairRank
from tests.losses.reference import same

GENERATOR = torch.Generator().manual_seed(11)
B, D = 7, 5
LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 2])
ALONE = torch.arange(B)


def units(z):
    return z / z.norm(dim=-1, keepdim=True)


def fixed(loss):
    """Built, in float64, not training: state stays as it is."""
    torch.manual_seed(3)
    return loss.build(2 * B, D).double().eval()


def both(loss):
    return lambda a, b: loss(a, b) / 2 + loss(b, a) / 2


def uniform_targets(labels):
    return ((labels[:, None] == labels) & ~torch.eye(len(labels), dtype=torch.bool)).double()


def hinge_of_hardest(a, b):
    s = units(a) @ units(b).T
    hardest = s.masked_fill(torch.eye(B, dtype=torch.bool), -9).amax(1)
    return (0.2 - s.diagonal() + hardest).clamp_min(0).mean()


HARD = torch.randn(B, 3, D, generator=GENERATOR, dtype=torch.float64)
CENTRE_FREE = L.MeanShifted(0.3)
QUERIES = torch.randn(B, 3, D, generator=GENERATOR, dtype=torch.float64)
EVEN = torch.full((B,), 0.3, dtype=torch.float64)
PAIRS = {
    "CLIPLoss = InfoNCE both ways": (L.CLIPLoss(0.3), both(L.InfoNCE(0.3))),
    "Symmetric InfoNCE = CLIPLoss": (L.Symmetric({"name": "InfoNCE", "temperature": 0.3}), L.CLIPLoss(0.3)),
    "ConVIRT forward 1 = InfoNCE": (L.ConVIRT(0.3, 1.0), L.InfoNCE(0.3)),
    "ConVIRT forward 1/2 = CLIPLoss": (L.ConVIRT(0.3, 0.5), L.CLIPLoss(0.3)),
    "NTXent = SupCon of stacked views": (
        L.NTXent(0.3),
        lambda a, b: L.SupCon(0.3)(torch.cat([a, b]), ALONE.repeat(2)),
    ),
    "NTXent = SupCon in of stacked views": (
        L.NTXent(0.3),
        lambda a, b: L.SupCon(0.3, "in")(torch.cat([a, b]), ALONE.repeat(2)),
    ),
    "NTXent = MVInfoNCE's bound where denominators agree": (
        lambda a, b: L.NTXent(0.3)(a, a) + 0 * b.sum(),
        lambda a, b: L.MVInfoNCE(0.3)(torch.stack([a, a])) + 0 * b.sum(),
    ),
    **{
        f"PolyView {how} of two views = NTXent": (
            lambda a, b, how=how: L.PolyView(0.3, how)(torch.stack([a, b])),
            L.NTXent(0.3),
        )
        for how in ("geometric", "arithmetic", "sufficient")
    },
    "MVDHEL of two views = DHEL": (lambda a, b: L.MVDHEL(0.3)(torch.stack([a, b])), L.DHEL(0.3)),
    "DCLW of wide sigma = DCL": (L.DCLW(0.3, 1e9), L.DCL(0.3)),
    "AdditiveMargin 0 = NTXent": (L.AdditiveMargin(0.3, 0.0), L.NTXent(0.3)),
    "AdditiveMargin 0, cross = InfoNCE": (L.AdditiveMargin(0.3, 0.0, "cross"), L.InfoNCE(0.3)),
    "AdditiveMargin cross = InfoNCE with margin": (L.AdditiveMargin(0.3, 0.2, "cross"), L.InfoNCE(0.3, margin=0.2)),
    "AngularMargin 0 = NTXent": (L.AngularMargin(0.3, 0.0), L.NTXent(0.3)),
    "KernelInfoNCE gamma 2 = NTXent at half": (L.KernelInfoNCE(0.6, 2.0), L.NTXent(0.3)),
    "KernelInfoNCE share 1 = one kernel": (L.KernelInfoNCE(0.3, 0.5, "loss", 1.0), L.KernelInfoNCE(0.3, 0.5)),
    "KernelInfoNCE share 0 = the Gaussian": (L.KernelInfoNCE(0.3, 0.5, "loss", 0.0), L.KernelInfoNCE(0.3, 2.0)),
    "MeanShifted without centre = NTXent": (fixed(L.MeanShifted(0.3)), L.NTXent(0.3)),
    "DebiasedContrast 0 = NTXent": (L.DebiasedContrast(0.3, 0.0), L.NTXent(0.3)),
    "HardNegative beta 0 = DebiasedContrast": (L.HardNegative(0.3, 0.0, 0.1), L.DebiasedContrast(0.3, 0.1)),
    "ClusterNegatives of one cluster = InfoNCE": (
        lambda a, b: L.ClusterNegatives(0.3)(a, b, clusters=torch.zeros(B, dtype=torch.long)),
        L.InfoNCE(0.3),
    ),
    "GuidedInfoNCE of a guide that agrees = InfoNCE": (
        lambda a, b: L.GuidedInfoNCE(0.3)(a, b, guide=torch.eye(B, dtype=torch.float64)),
        L.InfoNCE(0.3),
    ),
    "HardNegativeInfoNCE weight 0 = InfoNCE": (
        lambda a, b: L.HardNegativeInfoNCE(0.3, 0.0)(a, b, hard=HARD),
        L.InfoNCE(0.3),
    ),
    "HardNegativeInfoNCE shared = InfoNCE with further rows": (
        lambda a, b: L.HardNegativeInfoNCE(0.3)(a, b, hard=HARD),
        lambda a, b: L.InfoNCE(0.3)(a, torch.cat([b, HARD.flatten(0, 1)])),
    ),
    "CLP penalty 0 = HardNegativeInfoNCE": (
        lambda a, b: L.CLP(0.3, 0.0)(a, b, hard=HARD, queries=QUERIES),
        lambda a, b: L.HardNegativeInfoNCE(0.3)(a, b, hard=HARD),
    ),
    "CLP of queries at their negatives = (1 - penalty) of it": (
        lambda a, b: L.CLP(0.3, 0.2)(a, b, hard=HARD, queries=HARD),
        lambda a, b: 0.8 * L.HardNegativeInfoNCE(0.3)(a, b, hard=HARD),
    ),
    "DCLR without mask and noise = InfoNCE": (L.DCLR(0.3, 1.1, 0.0), L.InfoNCE(0.3)),
    "CLAIF of grade 1 = InfoNCE": (
        lambda a, b: L.CLAIF(0.3)(a, b, scores=torch.ones(B, dtype=torch.float64)),
        L.InfoNCE(0.3),
    ),
    "ICon without targets = InfoNCE": (L.ICon(0.3), L.InfoNCE(0.3)),
    "ICon Gaussian = InfoNCE of distances": (
        L.ICon(0.3, "square_euclidean"),
        L.InfoNCE(0.3, similarity="square_euclidean"),
    ),
    "CWCL of opposite teacher rows = twice CLIPLoss": (
        lambda a, b: L.CWCL(0.3)(a[:2], b[:2], teacher=torch.tensor([[1.0, 0], [-1, 0]])),
        lambda a, b: 2 * L.CLIPLoss(0.3)(a[:2], b[:2]),
    ),
    "CWCL one way = ICon of its weights": (
        lambda a, b: L.CWCL(0.3, reverse=False)(a, b),
        lambda a, b: L.ICon(0.3, divergence="cross_entropy")(
            a, b, targets=((units(b) @ units(b).T + 1) / 2).detach()
        ),
    ),
    "SampledSoftmax of even frequencies = InfoNCE of dot": (
        lambda a, b: L.SampledSoftmax(0.7)(a, b, log_q=EVEN),
        L.InfoNCE(0.7, "dot"),
    ),
    "SampledSoftmax over all items = catalogue softmax": (
        lambda a, b: L.SampledSoftmax(1.0)(a, b, log_q=0 * EVEN),
        lambda a, b: catalogue_softmax(a, b, ALONE).mean(),
    ),
    "MoCo of an empty queue, in batch = InfoNCE": (fixed(L.MoCo(0.3, in_batch=True)), L.InfoNCE(0.3)),
    "MoCHi without mixtures = MoCo": (fixed(L.MoCHi(0.3, pairs=0, own=0)), fixed(L.MoCo(0.3))),
    "CKD of an empty queue = InfoNCE on constants": (
        fixed(L.CKD(0.3)),
        lambda a, b: L.InfoNCE(0.3)(a, b.detach()) + 0 * b.sum(),
    ),
    "NNCLR of an empty queue = CLIPLoss": (fixed(L.NNCLR(0.3)), L.CLIPLoss(0.3)),
    "InterCLR of weight 0 = InfoNCE": (
        lambda a, b: fixed(L.InterCLR(0.3, 0.0))(a, b, ALONE),
        L.InfoNCE(0.3),
    ),
    "SogCLR = tau (DCL - log of the number)": (
        fixed(L.SogCLR(0.3)),
        lambda a, b: 0.3 * (L.DCL(0.3)(a, b) - math.log(2 * (B - 1))),
    ),
    "ISogCLR standing still = SogCLR + tau rho": (
        fixed(L.ISogCLR(0.3, gamma=1.0, rate=0.0)),
        lambda a, b: fixed(L.SogCLR(0.3))(a, b) + 0.3 * 0.3,
    ),
    "AMCL of one plain head = DCL of the other view": (
        lambda a, b: _plain_head()(a, b),
        L.Contrast(temperature=0.3, kernel="negatives"),
    ),
    "EnergyHinge weight 0 = InfoNCE": (L.EnergyHinge(0.3, weight=0.0), L.InfoNCE(0.3)),
    "EnergyHinge - InfoNCE = hardest hinge": (
        lambda a, b: L.EnergyHinge(0.3, 0.2, 2.0)(a, b) - L.InfoNCE(0.3)(a, b),
        lambda a, b: 2 * hinge_of_hardest(a, b),
    ),
    "LogRatio = PairRank of lse and softplus": (
        L.Contrast(temperature=0.3, kernel=LogRatio()),
        L.Contrast(temperature=0.3, kernel=PairRank("softplus", 0.0, "lse")),
    ),
    "AlignUniform gamma 0 = mean squared distance": (
        L.AlignUniform(0.0),
        lambda a, b: (units(a) - units(b)).square().sum(1).mean(),
    ),
    "an InfoNCE row = alignment + its own potential": (
        L.InfoNCE(0.3),
        lambda a, b: (
            (units(a) - units(b)).square().sum(1) / 0.6
            + gaussian_lse(units(a), units(b), 1 / 0.6, skip_own=False)
        ).mean(),
    ),
    "Dispersive between unit rows = AlignUniform's uniformity": (
        lambda a, b: L.Dispersive("l2", 0.5, self_pairs=False)(units(a), units(b)),
        lambda a, b: L.AlignUniform(1.0)(a, b) - L.AlignUniform(0.0)(a, b),
    ),
    "DecoupledUniformity of equal views = uniformity": (
        lambda a, b: L.DecoupledUniformity()(torch.stack([a, a])) + 0 * b.sum(),
        lambda a, b: L.AlignUniform()(a, a) + 0 * b.sum(),
    ),
    "CACR without sharpness = attraction - repulsion": (
        lambda a, b: L.CACR(0.0, 0.0)(torch.stack([a, b])),
        lambda a, b: (
            (units(a) - units(b)).square().sum(1).mean()
            - (torch.cdist(units(a), units(b)).square().sum() - (units(a) - units(b)).square().sum()) / (B * (B - 1))
        ),
    ),
    "SepCLR of common parts = AlignUniform at 1 / (2 tau)": (
        lambda a, b: L.SepCLR(0.4, 0.0, 0.0)((a, b, a, b)),
        lambda a, b: (
            L.AlignUniform(0.0)(a, b) / 0.8 + L.AlignUniform(1.0, t=1 / 0.8)(a, b) - L.AlignUniform(0.0)(a, b)
        ),
    ),
    "GroupContrast of one positive = InfoNCE": (
        lambda a, b: L.GroupContrast(0.3, "mean")(torch.stack([a, b])),
        L.InfoNCE(0.3),
    ),
    "AnchorStar of two = InfoNCE": (lambda a, b: L.AnchorStar(0.3)((a, b)), L.InfoNCE(0.3)),
    "ColloSSL of one other view = InfoNCE": (
        lambda a, b: L.ColloSSL(0.3)(torch.stack([a, b])),
        L.InfoNCE(0.3),
    ),
    "BestMatch of single members = twice CLIPLoss": (L.BestMatch(1, 0.3), lambda a, b: 2 * L.CLIPLoss(0.3)(a, b)),
    "GRAM of two = CLIPLoss of -|sin|": (
        lambda a, b: L.GRAM(0.3, 0.0, 1e-12)((a, b)),
        lambda a, b: _two_way(-(1 - (units(a) @ units(b).T).square()).sqrt() / 0.3),
    ),
    "BPR = InfoNCE with one negative": (
        lambda a, b: L.BPR()((a * b).sum(1), (a * b.flip(1)).sum(1, keepdim=True)),
        lambda a, b: torch.nn.functional.softplus((a * b.flip(1)).sum(1) - (a * b).sum(1)).mean(),
    ),
    "MWLoss of one row = BPR": (
        lambda a, b: L.MWLoss()(a[0, :1], b[:1]),
        lambda a, b: L.BPR()(a[0, :1], b[:1]),
    ),
    "JSD = Discriminator of the scores": (
        L.JSD(),
        lambda a, b: L.Discriminator(True)((a @ b.T).diagonal(), _others(a @ b.T)),
    ),
    "SigLIP = JSD with negatives summed": (
        lambda a, b: L.SigLIP(2.0, -1.0, learn=False).double()(a, b),
        lambda a, b: _siglip(2.0 * units(a) @ units(b).T - 1.0),
    ),
    "MarginContrastive of near margins = mean square distance": (
        L.MarginContrastive(margin=1e-9),
        lambda a, b: (a - b).square().sum(1).mean(),
    ),
    "VICReg without the rest = the squared error": (
        L.VICReg(3.0, 0.0, 0.0),
        lambda a, b: 3 * (a - b).square().mean(),
    ),
    "PerHead of one head = the objective": (
        fixed(L.PerHead({"name": "InfoNCE", "temperature": 0.3}, 1)),
        L.InfoNCE(0.3),
    ),
    "Sum of one = it": (L.Sum([L.InfoNCE(0.3)], [2.0]), lambda a, b: 2 * L.InfoNCE(0.3)(a, b)),
    "UncertaintySum at the start = Sum": (L.UncertaintySum(), L.Sum(["InfoNCE", "BYOL"])),
    "NTXent = DCL + softplus of positive less negatives": (
        L.NTXent(0.3),
        lambda a, b: _recoupled(a, b) / 2 + _recoupled(b, a) / 2,
    ),
    "InfoNCE of -distance² = of cosines at half, unit rows": (
        lambda a, b: L.InfoNCE(0.6, {"name": "square_euclidean", "unit": True})(a, b),
        L.InfoNCE(0.3),
    ),
    "SimSiam = both BYOL / 4 - 1": (
        lambda a, b: _siamese()(a, b),
        lambda a, b: (
            L.BYOL()(_siamese().predictor(a), b) + L.BYOL()(_siamese().predictor(b), a)
        ) / 4 - 1,
    ),
}  # fmt: skip


def _plain_head():
    loss = fixed(L.AMCL(1, 0.3, 0.3, 0.0, negatives="all"))
    with torch.no_grad():
        loss.weight.copy_(torch.eye(D))
    return loss


def _siamese():
    return fixed(L.SimSiam())


def _two_way(logits):
    labels = torch.arange(len(logits))
    return sum(torch.nn.functional.cross_entropy(x, labels) for x in (logits, logits.T)) / 2


def _others(scores):
    off = ~torch.eye(len(scores), dtype=torch.bool)
    return scores[off].view(len(scores), -1)


def _siglip(logits):
    softplus = torch.nn.functional.softplus
    return softplus(-logits.diagonal()).mean() + softplus(_others(logits)).sum(1).mean()


def _recoupled(a, b):
    x, y = units(a), units(b)
    positive = (x * y).sum(1) / 0.3
    away = torch.cat([_others(x @ y.T), _others(x @ x.T)], 1).div(0.3).logsumexp(1)
    return (away - positive + torch.nn.functional.softplus(positive - away)).mean()


@pytest.mark.parametrize("name", PAIRS)
def test_reduces(name):
    first, second = PAIRS[name]
    generator = torch.Generator().manual_seed(5)
    z = [torch.randn(B, D, generator=generator, dtype=torch.float64) for _ in range(2)]
    same(first, second, *z, rtol=1e-6, atol=1e-7)


LABELLED = {
    "ICon of a label's rows = SupCon": (
        lambda z: L.ICon(0.3, own=True, divergence="cross_entropy")(z, z, targets=uniform_targets(LABELS)),
        L.SupCon(0.3),
    ),
    "ICon of kernel targets = WSP": (
        lambda z: L.ICon(0.3, own=True, divergence="cross_entropy")(z, z, targets=_kernel(LABELS)),
        lambda z, _: L.WSP(0.3, use_labels=False)(z, LABELS, positions=LABELS),
    ),
    "WSP without positions = SupCon": (lambda z: L.WSP(0.3)(z, LABELS), L.SupCon(0.3)),
    "ConR where far targets are negatives = SupCon": (
        lambda z: L.ConR(0.3, 0.0, 0.0)(z, LABELS.double()),
        L.SupCon(0.3),
    ),
    "SupReMix without mixtures = SupCon": (
        lambda z: L.SupReMix(0.3, 0, magnify=False)(z, LABELS.double()),
        L.SupCon(0.3),
    ),
    "GatedContrast of open gates = SupCon": (lambda z: _open_gates()(z, LABELS), L.SupCon(0.3)),
    "CrossBatchMemory of an empty queue = its objective": (
        lambda z: fixed(L.CrossBatchMemory(L.SupCon(0.3)))(z, LABELS),
        L.SupCon(0.3),
    ),
    "Triplet, hard, of single positives = the hinge": (
        lambda z: L.Triplet(0.2, "cosine", "hard")(z[:4], torch.tensor([0, 0, 1, 1])),
        lambda z, _: _hard_hinge(z[:4], torch.tensor([0, 0, 1, 1])),
    ),
    "GML of one key a label = InfoNCE over prototypes": (
        lambda z: L.GML(0.3).rows(torch.cat([z[:3], z[3:6]]), torch.tensor([0, 1, 2, 0, 1, 2]))[:3].mean(),
        lambda z, _: _over_classes(z),
    ),
}


def _kernel(positions):
    gap = (positions[:, None] - positions).double()
    return torch.exp(-gap.square() / 2) * (1 - torch.eye(len(positions), dtype=torch.float64))


def _open_gates():
    loss = fixed(L.GatedContrast(3, mixed=0, temperature=0.3))
    with torch.no_grad():
        loss.filter.weight.zero_()
        loss.filter.bias.fill_(50.0)
    return loss


def _hard_hinge(z, labels):
    d = 1 - units(z) @ units(z).T
    equal = labels[:, None] == labels
    far = d.masked_fill(~equal, -9).amax(1)
    near = d.masked_fill(equal, 9).amin(1)
    return (far - near + 0.2).clamp_min(0).mean()


def _over_classes(z):
    """Keys of class 0 are row 3 for anchor 0, rows 0 and 3 for others; log-mean-exp of both."""
    s = units(z[:6]) @ units(z[:6]).T / 0.3
    rows = []
    for i in range(3):
        keys = [[k for k in (c, c + 3) if k != i] for c in range(3)]
        scores = torch.stack([torch.stack([s[i, k] for k in ks]).logsumexp(0) - math.log(len(ks)) for ks in keys])
        rows.append(scores.logsumexp(0) - scores[i])
    return sum(rows) / 3


@pytest.mark.parametrize("name", LABELLED)
def test_reduces_with_labels(name):
    first, second = LABELLED[name]
    z = torch.randn(B, D, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    other = second if not isinstance(second, L.Objective) else (lambda z, labels: second(z, LABELS))
    same(lambda z: first(z), lambda z: other(z, LABELS), z, rtol=1e-6, atol=1e-7)


def test_every_objective_says_what_it_reduces_to():
    names = set(L.catalogue())
    for name, objective in L.catalogue().items():
        assert objective.reduces, name
        assert all(isinstance(line, str) and line for line in objective.reduces)
    told = {word for c in L.catalogue().values() for line in c.reduces for word in line.replace("'s", "").split()}
    assert {"InfoNCE", "NTXent", "SupCon", "CLIPLoss", "MoCo", "BPR"} <= told & names


def test_inequalities():
    """Jensen and orders between siblings, row by row."""
    generator = torch.Generator().manual_seed(8)
    a, b, c = (torch.randn(B, D, generator=generator, dtype=torch.float64) for _ in range(3))
    assert L.NTXent(0.3)(a, b) <= L.MVInfoNCE(0.3)(torch.stack([a, b]))
    cube = torch.stack([a, b, c])
    assert L.PolyView(0.3, "arithmetic")(cube) <= L.PolyView(0.3, "geometric")(cube)
    assert bool((L.DCL(0.3).rows(a, b) < L.NTXent(0.3).rows(a, b)).all())
    assert bool((L.SupCon(0.3, "in").rows(a, LABELS) <= L.SupCon(0.3).rows(a, LABELS) + 1e-12).all())
    assert L.InfoNCE(0.3)(a, b) >= 0
    weights = L.CWCL(0.3, reverse=False)(a, b)
    target = (units(b) @ units(b).T + 1) / 2
    target = target / target.sum(1, keepdim=True)
    assert weights >= torch.special.entr(target).sum(1).mean() - 1e-12
    p, n = torch.randn(B, generator=generator), torch.randn(B, 4, generator=generator)
    auc = (p[:, None, None] > n).double().mean()
    for tau in (0.1, 1.0):
        assert L.MWLoss(tau)(p, n) >= math.log(2) * (1 - auc)
    for m in (0.0, 0.1, 0.3):
        assert L.AdditiveMargin(0.3, m + 0.1)(a, b) > L.AdditiveMargin(0.3, m)(a, b)
