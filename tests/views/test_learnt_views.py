"""Views that learn: their formulas, their budgets, where their gradients go."""

import pytest
import torch
import torch.nn.functional as F

from gcl.graph import Adjacency
from gcl.testing import check_graph_view
from gcl.views import (
    SVD,
    AdversarialNoise,
    DropEdge,
    EdgeDenoiser,
    EdgeGates,
    EdgeMask,
    EdgeVAE,
    Hypergraph,
    Intents,
    Noise,
    allocate,
    chain,
    view_terms,
)
from gcl.views.gates import calibrated
from gcl.views.report import mask_picture, mask_report, share_entropy
from tests.views.graphs import DATA, SIDES, ready

LEARNT = [
    lambda: SVD(3),
    lambda: Intents(5),
    lambda: Intents(5, residual=False),
    EdgeMask,
    lambda: EdgeGates(0.7),
    lambda: EdgeGates(0.5, "straight_through"),
    lambda: EdgeGates(0.5, renormalize=False, adversarial=True),
    lambda: AdversarialNoise(0.2),
    lambda: Hypergraph(6),
    lambda: Hypergraph(6, p=0.3),
    lambda: Hypergraph(6, scale=0.5, slope=0.5),
    EdgeVAE,
    EdgeDenoiser,
    lambda: EdgeDenoiser(1, price=0.3),
]


def dense(adj):
    out = torch.zeros(adj.num_rows, adj.num_cols)
    return out.index_put((adj.row.long(), adj.indices.long()), adj.values)


@pytest.mark.parametrize("build", LEARNT)
def test_learnt_view_holds_its_contract(build):
    check_graph_view(build)


def test_neutral_settings_leave_the_plain_step():
    check_graph_view(lambda: SVD(4), lambda: SVD(18, iterations=8))
    check_graph_view(lambda: AdversarialNoise(0.1), lambda: Noise(0.0))


@pytest.mark.parametrize("build", LEARNT)
def test_the_order_of_edges_means_nothing(build, adj, x):
    order = torch.randperm(adj.num_edges, generator=torch.Generator().manual_seed(1))
    shuffled = Adjacency.from_edges(
        adj.row[order], adj.indices[order], adj.num_rows, adj.num_cols, adj.weights[order]
    ).normalize("sym")
    outs = []
    for graph in (adj, shuffled):
        view = ready(build(), adj)
        outs.append(chain([view], graph, torch.Generator().manual_seed(2))(x, 1))
    torch.testing.assert_close(*outs)


def test_svd_is_the_best_approximation_of_its_rank(adj, x):
    view = ready(SVD(4, iterations=8), adj)
    block = dense(adj)[: SIDES[0], SIDES[0] :]
    u, s, v = torch.linalg.svd(block, full_matrices=False)
    low = u[:, :4] @ torch.diag(s[:4]) @ v[:4]
    expected = torch.cat([low @ x[SIDES[0] :], low.T @ x[: SIDES[0]]])
    torch.testing.assert_close(chain([view], adj)(x, 1), expected, atol=1e-4, rtol=1e-3)


def test_svd_of_a_graph_of_one_kind(x):
    row, col = (torch.rand(12, 12, generator=torch.Generator().manual_seed(0)).triu(1) > 0.5).nonzero(as_tuple=True)
    adj = Adjacency.from_edges(torch.cat([row, col]), torch.cat([col, row]), 12, 12).normalize("sym")
    view = SVD(12, iterations=8)
    view.allocate(adj, 8, (12,))
    torch.testing.assert_close(chain([view], adj)(x[:12], 1), adj @ x[:12], atol=1e-4, rtol=1e-3)


def test_intents_are_softmax_over_the_own_side(adj, x):
    view = ready(Intents(5), adj)
    users, items = (c.detach() for c in view.prototypes)
    expected = [torch.softmax(x[: SIDES[0]] @ users, 1) @ users.T, torch.softmax(x[SIDES[0] :] @ items, 1) @ items.T]
    torch.testing.assert_close(view(x), torch.cat(expected))
    for share in view.shares(x):
        torch.testing.assert_close(share.sum(1), torch.ones(len(share)))
    torch.testing.assert_close(chain([view], adj)(x, 1), adj @ x + view(adj @ x))
    alone = ready(Intents(5, residual=False), adj)
    torch.testing.assert_close(chain([alone], adj)(x, 1), view(adj @ x))


def test_similarity_of_intents(adj):
    view = ready(Intents(4), adj)
    with torch.no_grad():
        for c in view.prototypes:
            c.copy_(torch.eye(8)[:, :4])
    assert view.similarity().item() == 0.0
    with torch.no_grad():
        view.prototypes[0].fill_(1.0)
    torch.testing.assert_close(view.similarity(), torch.tensor(0.5))
    lone = ready(Intents(1), adj)
    assert lone.similarity().item() == 0.0


def test_edge_mask_weighs_edges_by_cosine_and_its_rows_sum_to_one(adj, x):
    x = x.double().requires_grad_()
    graph = dense(adj).double()
    z = graph @ x
    weight = (F.cosine_similarity(z[:, None], z[None], dim=2) + 1) / 2 * (graph > 0)
    expected = weight / weight.sum(1, keepdim=True) @ x
    (wanted,) = torch.autograd.grad(expected.square().sum(), x)
    out = chain([EdgeMask()], adj.double())(x, 1)
    (found,) = torch.autograd.grad(out.square().sum(), x)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)
    masked = EdgeMask().graph(adj, z.float())
    torch.testing.assert_close(masked.degree(), torch.ones(adj.num_rows))


def test_edge_mask_leaves_dropped_edges_dropped(adj, x, rng):
    dropped = DropEdge(0.5).draw(adj, rng)
    masked = EdgeMask().graph(dropped, x)
    assert bool((masked.values[dropped.values == 0] == 0).all())
    sums = masked.degree()
    assert bool(((sums - 1).abs() < 1e-5).logical_or(sums == 0).all())


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.95])
def test_gates_hold_their_budget_exactly(adj, x, keep):
    view = ready(EdgeGates(keep, "straight_through"), adj)
    with torch.no_grad():
        for p in view.parameters():
            p.mul_(6)  # far from a start where all edges are alike
    p = torch.sigmoid(view.logits(adj, x))
    torch.testing.assert_close(p.mean(), torch.tensor(keep), atol=1e-5, rtol=0)
    assert p.std().item() > 0.02
    rng = torch.Generator().manual_seed(0)
    draws = torch.stack([view.draw(adj, x, rng).detach() for _ in range(400)])
    assert set(draws.unique().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close(draws.mean(), torch.tensor(keep), atol=0.01, rtol=0)
    torch.testing.assert_close(draws.mean(0), p.detach(), atol=0.13, rtol=0)
    assert torch.equal(draws[0][adj.transpose.long()], draws[0])


def test_the_threshold_is_differentiated_as_the_solution_it_is():
    logits = torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: calibrated(x, 0.6, iterations=30), (logits,))
    (gradient,) = torch.autograd.grad(torch.sigmoid(calibrated(logits, 0.6)).sum(), logits)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-12, rtol=0)
    assert calibrated(torch.zeros(0), 0.5).shape == (0,)


@pytest.mark.parametrize("spread", [0.0, 0.01, 6.0])
def test_the_threshold_is_found_from_any_spread(spread):
    logits = spread * torch.linspace(-1, 1, 1001).sign() * torch.linspace(-1, 1, 1001).abs().sqrt()
    for share in (0.01, 0.3, 0.99):
        found = torch.sigmoid(calibrated(logits, share)).mean()
        torch.testing.assert_close(found, torch.tensor(share), atol=2e-4, rtol=0)


def test_adversarial_gates_leave_the_representations_alone(adj, x):
    x = x.clone().requires_grad_()
    view = ready(EdgeGates(0.5, adversarial=True), adj)
    logits = view.logits(adj, x)
    assert torch.autograd.grad(logits.square().sum(), x, allow_unused=True) == (None,)
    assert not torch.equal(*(view.draw(adj, x, torch.Generator().manual_seed(s)) for s in (0, 1)))


def test_gates_are_drawn_once_for_all_layers(adj, x):
    view = ready(EdgeGates(0.5), adj)
    step = chain([view], adj, torch.Generator().manual_seed(0))
    first = step(x, 1)
    torch.testing.assert_close(step(x, 2), first)
    assert not torch.equal(step(x, 1), first)


@pytest.mark.parametrize("view", [SVD, Hypergraph])
def test_views_with_a_step_of_their_own_come_first(view, adj):
    with pytest.raises(ValueError, match=f"{view.__name__} takes a step of its own .* put it first"):
        chain([DropEdge(0.1), view()], adj)


def test_allocate_names_what_maximises(adj):
    views = torch.nn.ModuleList([EdgeGates(adversarial=True), Intents(3), AdversarialNoise()])
    adverse = allocate(views, adj, 8, SIDES)
    expected = [*views[0].parameters(), *views[2].parameters()]
    assert [id(p) for p in adverse] == [id(p) for p in expected]


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: SVD(0), "rank must be at least 1, got 0"),
        (lambda: SVD(2, -1), "iterations must not be negative, got -1"),
        (lambda: Intents(0), "intents must be at least 1, got 0"),
        (lambda: EdgeGates(1.0), r"keep must be a share in \(0, 1\), got 1.0"),
        (lambda: EdgeGates(relaxation="soft"), "relaxation must be 'concrete' or 'straight_through', got 'soft'"),
        (lambda: EdgeGates(temperature=0.0), "temperature must be positive, got 0.0"),
        (lambda: EdgeGates(hidden=0), "hidden must be at least 1, got 0"),
        (lambda: AdversarialNoise(-0.1), "eps must not be negative, got -0.1"),
        (lambda: AdversarialNoise(hidden=0), "hidden must be at least 1, got 0"),
        (lambda: Hypergraph(0), "hyperedges must be at least 1, got 0"),
        (lambda: Hypergraph(p=1.0), r"p must be a probability in \[0, 1\), got 1.0"),
        (lambda: Hypergraph(scale=0.0), "scale must be positive, got 0.0"),
        (lambda: Hypergraph(slope=1.5), r"slope must lie in \[0, 1\], 1 is linear, got 1.5"),
    ],
)
def test_arguments_are_checked(build, text):
    with pytest.raises(ValueError, match=text):
        build()


@pytest.mark.parametrize("view", [EdgeMask, EdgeGates])
def test_views_of_edges_come_first(view, adj):
    with pytest.raises(ValueError, match=f"{view.__name__} changes edges and cannot follow"):
        chain([Noise(0.1), view()], adj)


def test_what_gates_masks_and_intents_report(adj, x):
    gates = ready(EdgeGates(0.7), adj).report(adj, x)
    assert set(gates) == {"keep", "deviation", "degree_correlation"}
    assert gates["keep"] == pytest.approx(0.7, abs=1e-5)
    degree = adj.indptr.diff().double()
    popular = (degree[adj.row.long()] * degree[adj.indices.long()]).sqrt().log()
    assert mask_report(adj, popular)["degree_correlation"] == pytest.approx(1.0)
    assert set(mask_report(adj, torch.ones(adj.num_edges))) == {"keep", "deviation"}
    assert mask_report(adj, torch.zeros(0)) == {}
    mask = EdgeMask().report(adj, x)
    assert 0 < mask["keep"] < 1
    intents = ready(Intents(4), adj)
    with torch.no_grad():
        for c in intents.prototypes:
            c.zero_()
    assert intents.report(adj, x) == {"entropy": pytest.approx(1.0), "similarity": 0.0}
    assert share_entropy([torch.eye(3)]) == 0.0


def test_pictures_show_weight_against_degree_and_prototypes_against_each_other(adj, x):
    degree = adj.indptr.diff().double()
    both = (degree[adj.row.long()] * degree[adj.indices.long()]).sqrt().log()
    weights = (both - both.min()) / (both.max() - both.min())
    picture = mask_picture(adj, weights)
    assert picture.shape == (32, 32) and picture.max() == 1.0
    row, column = picture.nonzero(as_tuple=True)
    assert ((row + column - 31).abs() <= 1).all()  # the heaviest at the top, the most popular at the right
    assert mask_picture(adj, weights)[:, column.unique()].amax(0).eq(1.0).all()
    for view in (EdgeMask(), ready(EdgeGates(0.7), adj)):
        assert set(view.pictures(adj, x)) == {"degree"}
    intents = ready(Intents(4), adj)
    with torch.no_grad():
        intents.prototypes[0][:, 1] = -2 * intents.prototypes[0][:, 0]
    shown = intents.pictures(adj, x)
    assert set(shown) == {"similarity/0", "similarity/1"}
    torch.testing.assert_close(shown["similarity/0"].diagonal(), torch.ones(4))
    assert shown["similarity/0"][0, 1].item() == pytest.approx(1.0) and shown["similarity/1"][0, 1] < 0.99


def test_generators_report_what_they_keep(adj, x):
    torch.manual_seed(0)
    vae, denoiser = ready(EdgeVAE(), adj, 6), ready(EdgeDenoiser(1), adj, 6)
    with torch.no_grad():
        vae.decoder[3].weight.zero_()
        vae.decoder[3].bias.fill_(-1.0)
    vae.graph(adj, torch.randn(len(x), 6), None)
    assert vae.report(adj, x) == {"keep": 0.0}
    assert set(denoiser.report(adj, torch.randn(len(x), 6))) >= {"keep", "deviation"}
    assert denoiser.pictures(adj, torch.randn(len(x), 6))["degree"].shape == (32, 32)


def test_a_model_reports_its_views_by_their_place():
    from gcl.recommenders.general.dccf import DCCF
    from gcl.recommenders.general.ease import EASE
    from gcl.training.diagnose import diagnose, learnt_views

    model = DCCF(DATA, dim=8, intents=4)
    found = learnt_views(model)
    assert {"views/intents/entropy", "views/intents/similarity", "views/mask/degree_correlation"} <= set(found)
    assert found.items() <= diagnose(model, DATA, 0).items()
    assert learnt_views(EASE(DATA)) == {}


def test_a_generator_as_a_view_is_its_graph(adj, x):
    """One draw of the auto-encoder for all layers; the denoiser's gates of each layer from what enters it."""
    vae, denoiser = ready(EdgeVAE(), adj), ready(EdgeDenoiser(2), adj)
    step = chain([vae], adj, torch.Generator().manual_seed(3))
    graph = vae.graph(adj, x, torch.Generator().manual_seed(3))
    torch.testing.assert_close(step(step(x, 1), 2), dense(graph) @ (dense(graph) @ x))
    step = chain([denoiser], adj)
    h1 = step(x, 1)
    torch.testing.assert_close([h1, step(h1, 2)], denoiser.view(adj, x)[1:])
    torch.testing.assert_close(step(h1, 3), step(h1, 2), msg="a third layer has the gates of the second")
    dropped = DropEdge(0.5)
    kept = dropped.draw(adj, torch.Generator().manual_seed(4))
    gates = denoiser.mask(denoiser.logits(adj, x, 1)) * (kept.values != 0)
    mask = torch.zeros(len(x), len(x)).index_put((adj.row.long(), adj.indices.long()), gates)
    scale = mask.sum(1).clamp(min=0.01).rsqrt()
    step = chain([dropped, denoiser], adj, torch.Generator().manual_seed(4))
    torch.testing.assert_close(step(x, 1), (scale[:, None] * mask * scale) @ x)


def test_generators_learn_from_their_own_terms_alone(adj, x):
    users, items = DATA.train.user[:7], DATA.train.item[:7] + SIDES[0]
    nodes, seed = (users, items, items.roll(2)[:, None]), torch.Generator().manual_seed(1)
    denoiser = ready(EdgeDenoiser(2, beta=0.5, price=0.3), adj)
    h = x.clone().requires_grad_()
    terms = denoiser.terms(adj, h, nodes, seed)
    layers, price = denoiser(adj, x, 0.5, torch.Generator().manual_seed(1))
    z = sum(layers)
    gap = (z[users] * z[items]).sum(1) - (z[users] * z[items.roll(2)]).sum(1)
    torch.testing.assert_close(terms, {"generator": -F.logsigmoid(gap).mean(), "price": 0.3 * price})
    assert torch.autograd.grad(sum(terms.values()), h, allow_unused=True)[0] is None
    vae = ready(EdgeVAE(), adj)
    found = vae.terms(adj, h, nodes, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, {"generator": vae.loss(x, *nodes, torch.Generator().manual_seed(1))})
    out = sum(chain([view], adj, seed)(h, 1).square().sum() for view in (vae, denoiser))
    parameters = [*vae.parameters(), *denoiser.parameters()]
    assert all(g is None for g in torch.autograd.grad(out, parameters, allow_unused=True))


def test_terms_of_a_view_in_two_chains_count_once(adj, x):
    from torch import nn

    users = DATA.train.user[:3]
    nodes = (users, DATA.train.item[:3] + SIDES[0], DATA.train.item[3:6, None] + SIDES[0])
    one, two = ready(EdgeDenoiser(2), adj), ready(EdgeDenoiser(2), adj)

    def draw():
        return torch.Generator().manual_seed(1)

    first = view_terms(nn.ModuleList([nn.ModuleList([one]), nn.ModuleList([one])]), adj, x, nodes, draw())
    assert set(first) == {"EdgeDenoiser.generator", "EdgeDenoiser.price"}
    torch.testing.assert_close(first["EdgeDenoiser.price"], one.terms(adj, x, nodes, draw())["price"])
    both = view_terms(nn.ModuleList([one, two]), adj, x, nodes, draw())
    torch.testing.assert_close(both["EdgeDenoiser.price"], 2 * first["EdgeDenoiser.price"], rtol=0.2, atol=0)
    assert view_terms(nn.ModuleList([Noise(0.1)]), adj, x, nodes, None) == {}


@pytest.mark.parametrize("build", [EdgeVAE, EdgeDenoiser])
def test_generators_are_allocated_first_and_read_a_graph(build, adj, x):
    with pytest.raises(ValueError, match=f"{build.__name__} has no parameters yet"):
        chain([build()], adj)(x, 1)
    with pytest.raises(ValueError, match=f"{build.__name__} changes edges and cannot follow"):
        chain([Noise(0.1), ready(build(), adj)], adj)(x, 1)


@pytest.mark.parametrize("wrong", [{"layers": 0}, {"beta": 0.0}, {"price": -1.0}])
def test_settings_of_the_denoiser(wrong):
    with pytest.raises(ValueError, match="layers >= 1, beta > 0 and price >= 0 must hold"):
        EdgeDenoiser(**wrong)
