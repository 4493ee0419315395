"""Pairs against bounds, and the kernels that compose into them."""

import math

import pytest
import torch

from gcl.losses import JSD, Contrast, EnergyHinge, InfoNCE, MarginContrastive, SigLIP, TagBCE
from tests.losses.reference import cosines, mean, same

pytestmark = pytest.mark.usefixtures("streamed")


@pytest.mark.parametrize("ids", [None, [0, 1, 1, 2, 3, 4, 5, 5, 0]])
def test_sig_lip(views, ids, eye):
    key = list(range(9)) if ids is None else ids
    loss = SigLIP(5.0, -2.0).double()

    def naive(a, b):
        s = cosines(a, b)
        rows = [torch.log(1 + torch.exp(-(5 * s[i, i] - 2))) for i in range(6)]
        for i in range(6):
            rows[i] = rows[i] + sum(torch.log(1 + torch.exp(5 * s[i, j] - 2)) for j in range(9) if key[j] != key[i])
        return mean(rows)

    tensor = None if ids is None else torch.tensor(ids)
    same(lambda a, b: loss(a, b, tensor), naive, views[0][:6], views[1], rtol=1e-5, atol=1e-6)
    assert SigLIP().double()(eye, eye).item() == pytest.approx(0.693283, abs=1e-6)
    loss(views[0], views[1]).backward()
    assert loss.log_scale.grad.abs() > 0 and loss.bias.grad.abs() > 0
    assert not any(p.requires_grad for p in SigLIP(learn=False).parameters())


def test_margin_contrastive(views):
    def distance(a, b):
        rows = []
        for i in range(9):
            d = torch.stack([(a[i] - b[j]).norm() for j in range(9)])
            rows.append(d[i] ** 2 + mean([(2.5 - d[j]).clamp_min(0) ** 2 for j in range(9) if j != i]))
        return mean(rows)

    def cosine(a, b):
        s = cosines(a, b)
        return mean([
            (0.9 - s[i, i]).clamp_min(0) + mean([(s[i, j] - 0.1).clamp_min(0) for j in range(9) if j != i])
            for i in range(9)
        ])  # fmt: skip

    same(MarginContrastive(margin=2.5), distance, views[0], views[1], rtol=1e-6, atol=1e-8)
    same(MarginContrastive("cosine", 0.1, 0.9), cosine, views[0], views[1])
    z = views[0][:1].expand(4, 5)
    assert MarginContrastive(margin=2.0)(z, z).item() == pytest.approx(4.0, rel=1e-4)


def test_jsd(views):
    def naive(a, b):
        s = a @ b.T
        pull = mean([torch.log(1 + torch.exp(-s[i, i])) for i in range(9)])
        push = mean([torch.log(1 + torch.exp(s[i, j])) for i in range(9) for j in range(9) if i != j])
        return pull + push

    same(JSD(bce=True), naive, views[0], views[1])
    torch.testing.assert_close(JSD()(*views[:2]), JSD(bce=True)(*views[:2]) - 2 * math.log(2))
    assert JSD()(torch.zeros(4, 3), torch.zeros(4, 3)).item() == pytest.approx(0.0, abs=1e-6)


def test_energy_hinge(views, eye, collapsed):
    def naive(a, b):
        s = cosines(a, b)
        hinge = mean([(0.4 - s[i, i] + max(s[i, j] for j in range(9) if j != i)).clamp_min(0) for i in range(9)])
        return torch.nn.functional.cross_entropy(s / 0.3, torch.arange(9)) + 3 * hinge

    same(EnergyHinge(0.3, 0.4, 3.0), naive, views[0], views[1])
    torch.testing.assert_close(EnergyHinge(0.3, weight=0)(*views[:2]), InfoNCE(0.3)(*views[:2]))
    for z, expected in ((eye, 0.0), (collapsed, 0.2)):
        hinge = EnergyHinge(0.3, 0.2, 1.0)(z, z) - InfoNCE(0.3)(z, z)
        assert hinge.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("phi", ["softplus", "hinge", "square", "cauchy"])
@pytest.mark.parametrize("pool", ["mean", "hardest", "lse"])
def test_pair_rank(views, phi, pool):
    def price(x):
        if phi == "softplus":
            return torch.log(1 + torch.exp(x))
        if phi == "cauchy":
            return -torch.log(0.5 - torch.atan(x) / math.pi)
        return x.clamp_min(0) if phi == "hinge" else x.clamp_min(0) ** 2

    def naive(a, b):
        s = cosines(a, b) / 0.5
        rows = []
        for i in range(9):
            others = [s[i, j] for j in range(9) if j != i]
            if pool == "mean":
                rows.append(mean([price(n - s[i, i] + 0.3) for n in others]))
            else:
                top = max(others) if pool == "hardest" else torch.stack(others).logsumexp(0)
                rows.append(price(top - s[i, i] + 0.3))
        return mean(rows)

    kernel = {"name": "pair_rank", "phi": phi, "margin": 0.3, "pool": pool}
    same(Contrast(temperature=0.5, kernel=kernel), naive, views[0], views[1])


def test_log_ratio_is_pair_rank_of_lse(views):
    kernel = {"name": "pair_rank", "phi": "softplus", "margin": 0.0, "pool": "lse"}
    torch.testing.assert_close(Contrast(kernel=kernel)(*views[:2]), InfoNCE()(*views[:2]))


@pytest.mark.parametrize("repulsion", ["mean", "log_mean_exp", "softmax"])
def test_energy_kernel(views, repulsion):
    def naive(a, b):
        s = -torch.cdist(a, b).square() / 0.5
        rows = []
        for i in range(9):
            n = torch.stack([s[i, j] for j in range(9) if j != i] + own(a, i))
            r = {"mean": n.mean(), "log_mean_exp": n.logsumexp(0) - math.log(16), "softmax": (n.softmax(0) * n).sum()}
            rows.append(0.7 * r[repulsion] - s[i, i])
        return mean(rows)

    def own(a, i):
        return [-(a[i] - a[j]).square().sum() / 0.5 for j in range(9) if j != i]

    loss = Contrast(
        similarity="square_euclidean",
        temperature=0.5,
        negatives="both",
        kernel={"name": "energy", "repulsion": repulsion, "weight": 0.7},
    )
    same(loss, naive, views[0], views[1])


def test_the_number_of_negatives_is_as_exact_as_the_rows(views):
    loss = Contrast(similarity="dot", temperature=1.0, kernel={"name": "energy", "repulsion": "log_mean_exp"})
    s = views[0][:8] @ views[1][:8].T
    rest = s.masked_fill(torch.eye(8, dtype=torch.bool), -math.inf)
    expected = rest.logsumexp(1).mean() - math.log(7) - s.diagonal().mean()
    torch.testing.assert_close(loss(views[0][:8], views[1][:8]), expected, rtol=0, atol=1e-12)


def test_rows_without_negatives(views):
    ids = torch.zeros(9, dtype=torch.long)
    for kernel in ("pair_rank", "energy"):
        assert Contrast(kernel=kernel).rows(*views[:2], ids).numel() == 0
    assert Contrast(kernel="pointwise").rows(*views[:2], ids).numel() == 9


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Contrast(kernel={"name": "pair_rank", "phi": "x"}), "phi must be softplus, hinge, square or cauchy"),
        (lambda: Contrast(kernel={"name": "pair_rank", "pool": "x"}), "pool must be mean, hardest or lse"),
        (lambda: Contrast(kernel={"name": "pointwise", "phi": "x"}), "phi must be softplus, hinge, square or cauchy"),
        (lambda: Contrast(kernel={"name": "energy", "repulsion": "x"}), "repulsion must be mean, log_mean_exp or"),
        (lambda: MarginContrastive("x"), "form must be distance or cosine, got 'x'"),
        (lambda: EnergyHinge(weight=-1), "weight must be at least 0, got -1"),
        (lambda: SigLIP(0), "scale must be a positive number, got 0"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize("kind", [torch.bool, torch.long, torch.float64])
def test_tag_bce(views, kind):
    torch.manual_seed(0)
    loss = TagBCE(6, weight=1.7).build(9, 5).double()
    tags = torch.rand(9, 6, generator=torch.Generator().manual_seed(1)) < 0.4
    labels = torch.tensor([0, 5, 2, 2, 1, 0, 3, 4, 4])
    head, bias = (p.detach() for p in (loss.head.weight, loss.head.bias))

    def naive(z, c, b, has):
        terms = []
        for i in range(9):
            for t in range(6):
                p = 1 / (1 + torch.exp(-(z[i] @ c[t] + b[t])))
                terms.append(-1.7 * torch.log(p) if has[i, t] else -torch.log(1 - p))
        return mean(terms)

    def ours(z, c, b, **options):
        given = {"head.weight": c, "head.bias": b}
        return torch.func.functional_call(loss, given, (z, labels), options)

    same(lambda *x: ours(*x, tags=tags.to(kind)), lambda *x: naive(*x, tags), views[0], head, bias)
    one = labels[:, None] == torch.arange(6)
    same(ours, lambda *x: naive(*x, one), views[0], head, bias)
    expected = 1.0 / 6
    assert torch.sigmoid(bias).tolist() == pytest.approx([expected] * 6, rel=1e-6)


def test_tag_bce_errors(views):
    labels = torch.zeros(9, dtype=torch.long)
    for tags, weight in ((0, 1.0), (4, float("inf"))):
        with pytest.raises(ValueError, match=f"weight positive and finite, got {tags} and {weight}"):
            TagBCE(tags, weight)
    with pytest.raises(RuntimeError, match="TagBCE has no tags yet: call objective.build"):
        TagBCE()(views[0], labels)
    loss = TagBCE(4).build(9, 5).double()
    with pytest.raises(ValueError, match=r"labels must be in 0 .. 3, the tags that the objective has, got 4 to 4"):
        loss(views[0], labels + 4)
    with pytest.raises(ValueError, match=r"tags must be \[9, 4\], the tags of every row, got \[9, 3\]"):
        loss(views[0], labels, tags=torch.zeros(9, 3))
    with pytest.raises(ValueError, match="tags must be in 0 .. 1, whether a row has a tag, got 2 to 2"):
        loss(views[0], labels, tags=torch.full((9, 4), 2))
