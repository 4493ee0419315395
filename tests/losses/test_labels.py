"""Objectives of labelled rows: check values, naive references, relations."""

import math

import pytest
import torch

from gcl.losses import GML, WSP, NTXent, SupCon
from gcl.losses.functional import partition as module
from tests.losses.reference import cosines, log_sum, mean, same

LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 3, 2, 1])


def naive_sup_con(z, labels, tau, variant, weight=lambda i, k: 1.0):
    s = cosines(z, z) / tau
    rows = []
    n = len(z)
    for i in range(n):
        positives = [k for k in range(n) if k != i and labels[k] == labels[i]]
        if not positives:
            continue
        total = log_sum([s[i, a] for a in range(n) if a != i])
        if variant == "in":
            rows.append(total - log_sum([s[i, p] for p in positives]) + math.log(len(positives)))
        else:
            w = [weight(i, p) for p in positives]
            rows.append(sum(wp * (total - s[i, p]) for wp, p in zip(w, positives, strict=True)) / sum(w))
    return mean(rows)


@pytest.mark.parametrize("variant", ["out", "in"])
def test_check_value(variant, classes):
    z, labels = classes
    assert SupCon(0.5, variant)(z, labels).item() == pytest.approx(1.406754, abs=1e-6)
    assert WSP(0.5)(z, labels, positions=torch.zeros(12)).item() == pytest.approx(1.406754, abs=1e-6)
    assert GML(0.5)(torch.eye(4, dtype=torch.float64).repeat(3, 1), torch.arange(4).repeat(3)).item() == pytest.approx(
        0.340753, abs=1e-6
    )


def test_the_number_of_positives_is_as_exact_as_the_rows(views):
    alike = torch.zeros(9, dtype=torch.long).index_fill(0, torch.tensor([8]), 1)
    same(lambda z: SupCon(0.5, "in")(z, alike), lambda z: naive_sup_con(z, alike, 0.5, "in"), views[0])


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("variant", ["out", "in"])
@pytest.mark.parametrize("tau", [0.02, 0.5, 10.0])
def test_sup_con_is_its_formula(views, variant, tau, streamed, monkeypatch):
    if streamed:
        monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
        monkeypatch.setitem(module.TILE, "cpu", 20)
        monkeypatch.setattr(module, "LEAST_ROWS", 1)
    loss = SupCon(tau, variant)
    same(lambda z: loss(z, LABELS), lambda z: naive_sup_con(z, LABELS, tau, variant), views[0])


def test_any_similarity(views):
    z = views[0]
    loss = SupCon(0.5, similarity="euclidean")
    s = -torch.cdist(z, z) / 0.5
    rows = []
    for i in range(9):
        p = [k for k in range(9) if k != i and LABELS[k] == LABELS[i]]
        if p:
            rows.append(torch.logsumexp(s[i][torch.arange(9) != i], 0) - s[i][p].mean())
    torch.testing.assert_close(loss(z, LABELS), torch.stack(rows).mean(), rtol=1e-6, atol=1e-6)


def test_in_is_never_above_out_and_no_temperature_factor(views, classes):
    gap = SupCon(0.2).rows(views[0], LABELS) - SupCon(0.2, "in").rows(views[0], LABELS)
    assert bool((gap >= -1e-12).all()) and gap.max() > 0
    z, labels = classes
    assert SupCon(0.5)(z, labels).item() < 1.5, "tau / 0.07 would print 7.14 times the formula"


def test_rows_without_a_positive_do_not_count(views):
    labels = torch.arange(9)
    assert SupCon().rows(views[0], labels).numel() == 0
    z = views[0].clone().requires_grad_()
    SupCon()(z, labels).backward()
    assert bool((z.grad == 0).all())
    assert len(SupCon().rows(views[0], LABELS)) == 8


def test_wsp_normalises_rows_and_means_over_anchors(views):
    """Dividing by column sums, or by half the anchors, gives other values."""
    d = torch.linspace(0, 3, 9, dtype=torch.float64)
    loss = WSP(0.3, sigma=0.7)
    weight = lambda i, k: math.exp(-((d[i] - d[k]).item() ** 2) / (2 * 0.49))  # noqa: E731
    same(
        lambda z: loss(z, LABELS, positions=d),
        lambda z: naive_sup_con(z, LABELS, 0.3, "out", weight),
        views[0],
        rtol=1e-8,
    )


def test_wsp_rows_are_normalised_each_by_itself(views):
    """The mean does not tell rows from columns, for weights and cosines are symmetric; the rows do."""
    d, s = torch.linspace(0, 3, 9, dtype=torch.float64), cosines(views[0], views[0]) / 0.3
    weight = torch.exp(-((d[:, None] - d) ** 2) / 0.98) * (LABELS[:, None] == LABELS)
    weight.fill_diagonal_(0.0)
    kept = weight.sum(1) > 0
    others = s.masked_fill(torch.eye(9, dtype=torch.bool), -math.inf).logsumexp(1)
    expected = others - (weight * s).sum(1) / weight.sum(1)
    torch.testing.assert_close(WSP(0.3, sigma=0.7).rows(views[0], LABELS, positions=d), expected[kept])


def test_wsp_relations(views):
    z = views[0]
    torch.testing.assert_close(WSP(0.3)(z, LABELS), SupCon(0.3)(z, LABELS))
    stack, place = torch.cat(views[:2]), torch.arange(9.0).repeat(2)
    narrow = WSP(0.3, sigma=1e-3, use_labels=False)(stack, torch.zeros(18), positions=place)
    torch.testing.assert_close(narrow, NTXent(0.3)(*views[:2]))


@pytest.mark.parametrize("prior", [None, [0.5, 0.3, 0.15, 0.05]])
@pytest.mark.parametrize("streamed", [False, True])
def test_gml_is_its_formula(views, prior, streamed, monkeypatch):
    if streamed:
        monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
        monkeypatch.setitem(module.TILE, "cpu", 20)
        monkeypatch.setattr(module, "LEAST_ROWS", 1)
    tau = 0.4

    def naive(z):
        s = cosines(z, z) / tau
        rows = []
        for i in range(9):
            scores = {}
            for c in range(4):
                keys = [k for k in range(9) if k != i and LABELS[k] == c]
                if keys:
                    shift = math.log(prior[c]) if prior else 0.0
                    scores[c] = log_sum([s[i, k] for k in keys]) - math.log(len(keys)) + shift
            own = int(LABELS[i])
            if own in scores:
                rows.append(log_sum(list(scores.values())) - scores[own])
        return mean(rows)

    loss = GML(tau, prior).double()
    same(lambda z: loss(z, LABELS), naive, views[0], rtol=1e-6, atol=1e-7)


def test_gml_does_not_mind_duplicated_keys(views):
    z = views[0]
    rows = GML(0.3).rows(z, LABELS)
    doubled = torch.cat([z, z[[0, 2, 5]]])
    more = GML(0.3).rows(doubled, torch.cat([LABELS, torch.zeros(3, dtype=torch.long)]))
    torch.testing.assert_close(more[1], rows[1])


def test_errors():
    with pytest.raises(ValueError, match="variant must be out or in, got 'both'"):
        SupCon(variant="both")
    with pytest.raises(ValueError, match="variant in needs a similarity that is an inner product"):
        SupCon(variant="in", similarity="euclidean")
    with pytest.raises(ValueError, match="kernel must be gaussian or laplacian, got 'box'"):
        WSP(kernel="box")
    with pytest.raises(ValueError, match="prior must be positive for every label, got 0"):
        GML(prior=[1.0, 0.0])
