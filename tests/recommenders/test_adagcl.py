"""AdaGCL and its two generators against their formulas, in float64 and without sparse products."""

import pytest
import torch
import torch.nn.functional as F

from gcl.graph import Adjacency
from gcl.recommenders.general.adagcl import AdaGCL
from gcl.testing import tiny_dataset
from gcl.testing.recommenders import batch_of
from gcl.views import EdgeDenoiser, EdgeVAE

DATA = tiny_dataset()
U, N = DATA.num_users, DATA.num_users + DATA.num_items


@pytest.fixture
def adj():
    return Adjacency.bipartite(DATA.train).normalize("sym").double()


@pytest.fixture
def x():
    return torch.randn(N, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = AdaGCL(DATA, dim=6).double()
    model.generator = torch.Generator().manual_seed(1)
    return model


def dense(adj, values=None):
    out = torch.zeros(N, N, dtype=torch.float64)
    return out.index_put((adj.row.long(), adj.indices.long()), adj.values if values is None else values)


def decode(vae, pairs):
    hidden = F.relu(F.linear(F.relu(pairs), vae.decoder[1].weight, vae.decoder[1].bias))
    return F.linear(hidden, vae.decoder[3].weight, vae.decoder[3].bias)[..., 0]


def gated(denoiser, adj, x, layer, beta=1.0, noise=None):
    """The normalised mask as a matrix, and log α of the edges."""
    first, second = denoiser.rows[layer][0], denoiser.columns[layer][0]
    ends = torch.cat([F.relu(first(x[adj.row.long()])), F.relu(second(x[adj.indices.long()]))], 1)
    weight = torch.cat([denoiser.rows[layer][2].weight, denoiser.columns[layer][2].weight], 1)
    logits = (ends @ weight.T)[:, 0] + denoiser.rows[layer][2].bias + denoiser.columns[layer][2].bias
    gate = torch.sigmoid(logits if noise is None else (noise.log() - (1 - noise).log() + logits) / beta)
    mask = dense(adj, (gate * (denoiser.high - denoiser.low) + denoiser.low).clamp(0, 1))
    scale = mask.sum(1).pow(-0.5).clamp(0, 10)
    return scale[:, None] * mask * scale, logits


def allocated(view, adj):
    view.allocate(adj, 6, (U, N - U))
    return view.double()


def test_the_autoencoder_keeps_the_edges_it_believes_in(adj, x):
    torch.manual_seed(0)
    vae = allocated(EdgeVAE(), adj)
    mean, spread = vae.mean(x), vae.spread(x)
    z = mean + spread * torch.randn(N, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        vae.decoder[3].bias -= decode(vae, z[:, None] * z[None])[dense(adj) > 0].median() - 1e-9
    graph = vae.graph(adj, x, torch.Generator().manual_seed(3))
    keep = (torch.sigmoid(decode(vae, z[:, None] * z[None])) >= 0.5) & (dense(adj) > 0)
    share = keep.sum() / adj.num_edges
    assert 0 < share < 1
    torch.testing.assert_close(dense(graph), dense(adj) * keep / share)
    assert not graph.values.requires_grad
    assert graph.symmetric
    torch.testing.assert_close(dense(graph), dense(graph).T)


def test_the_loss_of_the_autoencoder_is_its_formula(adj, x):
    torch.manual_seed(0)
    vae = allocated(EdgeVAE(), adj)
    first, second = DATA.train.user[:9], DATA.train.item[:9] + U
    other = torch.randint(U, N, (9, 2), generator=torch.Generator().manual_seed(1))
    loss = vae.loss(x, first, second, other, torch.Generator().manual_seed(3))
    mean, spread = vae.mean(x), vae.spread(x)
    z = mean + spread * torch.randn(N, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    yes = torch.sigmoid(decode(vae, z[first] * z[second]))
    no = torch.sigmoid(decode(vae, z[first][:, None] * z[other]))
    kl = -0.5 * (1 + 2 * spread.log() - mean**2 - spread**2).sum(1).mean()
    gap = (z[first] * z[second]).sum(1, keepdim=True) - (z[first][:, None] * z[other]).sum(2)
    expected = -yes.log().mean() - (1 - no).log().mean() + 0.1 * kl - F.logsigmoid(gap).mean()
    torch.testing.assert_close(loss, expected)


def test_the_denoiser_is_its_formula(adj, x):
    torch.manual_seed(0)
    denoiser = allocated(EdgeDenoiser(2), adj)
    first, _ = gated(denoiser, adj, x, 0)
    second, _ = gated(denoiser, adj, first @ x, 1)
    layers = denoiser.view(adj, x)
    torch.testing.assert_close(layers[1], first @ x)
    torch.testing.assert_close(layers[2], second @ first @ x)
    beta = 1.7
    noisy, price = denoiser(adj, x, beta, torch.Generator().manual_seed(3))
    rng, h, expected = torch.Generator().manual_seed(3), x, 0.0
    for layer in range(2):
        u = torch.rand(adj.num_edges, dtype=torch.float64, generator=rng)
        matrix, logits = gated(denoiser, adj, h, layer, beta, u)
        expected = expected + torch.sigmoid(logits - beta * torch.tensor(0.45 / 1.05).log()).mean()
        h = matrix @ h
        torch.testing.assert_close(noisy[layer + 1], h)
    torch.testing.assert_close(price, expected)
    wanted = torch.autograd.grad(h.square().sum() + expected, list(denoiser.parameters()))
    found = torch.autograd.grad(noisy[2].square().sum() + price, list(denoiser.parameters()))
    for f, w in zip(found, wanted, strict=True):
        torch.testing.assert_close(f, w, atol=1e-10, rtol=1e-6)


def test_gates_that_are_always_shut_or_open_are_an_error():
    with pytest.raises(ValueError, match="low must be below 0 and high above 1"):
        EdgeDenoiser(1, low=0.0)


def decoupled(a, b, nodes):
    """Users and items in one set, the positive not in the denominator."""
    s = F.normalize(a[nodes], dim=1) @ F.normalize(b[nodes], dim=1).T / 0.5
    others = s.masked_fill(torch.eye(len(nodes), dtype=torch.bool), -torch.inf)
    return (others.logsumexp(1) - s.diagonal()).mean()


def test_the_contrast_is_its_formula_and_the_bottleneck_that_of_its_past(model):
    batch = batch_of(model, DATA)
    adj, table = model.encoder.adj, model.encoder.table
    nodes = torch.cat([batch.users, batch.items + U]).unique()
    terms = model.agreement(batch)
    (graph,), olds = model.before
    kept = dense(graph)

    def views():
        first = table + kept @ table + kept @ kept @ table
        one, _ = gated(model.denoiser, adj, table.detach(), 0)
        two, _ = gated(model.denoiser, adj, (one @ table).detach(), 1)
        return first, table + one.detach() @ table + two.detach() @ one.detach() @ table

    first, second = views()
    expected = 0.1 * decoupled(first, second, nodes)
    torch.testing.assert_close(terms["contrast"], expected)
    found, wanted = (torch.autograd.grad(v, table)[0] for v in (terms["contrast"], expected))
    torch.testing.assert_close(found, wanted, atol=1e-10, rtol=1e-6)
    with torch.no_grad():
        table.add_(0.01 * torch.randn_like(table))
    moved = views()
    past = 0.01 * sum(
        decoupled(new, old, nodes) for new, old in zip(moved, (first.detach(), second.detach()), strict=True)
    )
    term = model.persistence(batch)["bottleneck"]
    torch.testing.assert_close(term, past)
    found, wanted = (torch.autograd.grad(v, table)[0] for v in (term, past))
    torch.testing.assert_close(found, wanted, atol=1e-10, rtol=1e-6)
    assert model.before is None
    assert not any(old.requires_grad for old in olds)


def test_the_last_three_steps_are_their_formulas():
    torch.manual_seed(0)
    model = AdaGCL(DATA, dim=6, gate_low=-0.9, gate_reg=0.3, decay=0.2, negatives=2).double()
    assert model.denoiser.low == -0.9
    model.begin_epoch(20, torch.Generator())
    batch, adj, table = batch_of(model, DATA), model.encoder.adj.double(), model.encoder.table
    user, item, other = batch.users, batch.items + U, batch.negatives + U

    def bpr(z):
        return F.softplus((z[user][:, None] * z[other]).sum(-1) - (z[user] * z[item]).sum(-1, keepdim=True)).mean()

    full = dense(model.encoder.adj)
    whole = table + full @ table + full @ full @ table
    terms = model.losses(batch)
    torch.testing.assert_close(terms["rank"], bpr(whole))
    torch.testing.assert_close(terms["reg"], 0.2 * table.square().sum())
    model.generator = torch.Generator().manual_seed(4)
    expected = model.autoencoder.loss(whole.detach(), user, item, other, torch.Generator().manual_seed(4))
    torch.testing.assert_close(model.rebuilding(batch)["autoencoder"], expected)
    beta = model.beta.double()
    assert beta.item() == pytest.approx(2 * 0.98**20)
    model.generator, rng = torch.Generator().manual_seed(4), torch.Generator().manual_seed(4)
    terms, layers, price = model.denoising(batch), [table], 0.0
    for layer in range(2):
        noise = torch.rand(adj.num_edges, dtype=torch.float64, generator=rng)
        matrix, logits = gated(model.denoiser, model.encoder.adj, layers[-1], layer, beta, noise)
        price = price + torch.sigmoid(logits - beta * torch.tensor(0.9 / 1.05).double().log()).mean()
        layers.append(matrix @ layers[-1])
    torch.testing.assert_close(terms["gates"], 0.3 * price, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(terms["rank"], bpr(sum(layers)), atol=1e-6, rtol=1e-5)


def test_phases_share_the_optimiser_of_the_table_and_keep_generators_apart(model):
    phases = model.phases()
    assert [phase.name for phase in phases] == ["encoder", "encoder", "encoder", "autoencoder", "denoiser"]
    batch = batch_of(model, DATA)
    reached = []
    for phase in phases:
        total = torch.stack(list(phase.losses(batch).values())).sum()
        gradients = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
        names = {
            n.split(".")[0] for (n, _), g in zip(model.named_parameters(), gradients, strict=True) if g is not None
        }
        reached.append(names)
    assert reached == [{"encoder"}, {"encoder"}, {"encoder"}, {"autoencoder"}, {"denoiser"}]


def test_gates_are_annealed_in_a_buffer(model):
    model.begin_epoch(10, torch.Generator())
    torch.testing.assert_close(model.state_dict()["beta"].item(), 2 * 0.98**10)
    model.begin_epoch(1000, torch.Generator())
    assert model.beta.item() == pytest.approx(0.05)


def test_layers_are_checked():
    with pytest.raises(ValueError, match="layers of AdaGCL must be at least 1"):
        AdaGCL(DATA, layers=0)


def test_random_drops_stand_in_for_the_generators():
    torch.manual_seed(0)
    model = AdaGCL(DATA, dim=6, drop=0.4).double()
    model.generator = torch.Generator().manual_seed(1)
    assert [phase.name for phase in model.phases()] == ["encoder"] * 3
    assert {n.split(".")[0] for n, _ in model.named_parameters()} == {"encoder"}
    batch, table = batch_of(model, DATA), model.encoder.table
    nodes = torch.cat([batch.users, batch.items + U]).unique()
    terms = model.agreement(batch)
    graphs, olds = model.before
    assert not torch.equal(graphs[0].values, graphs[1].values)
    first, second = (table + dense(g) @ table + dense(g) @ dense(g) @ table for g in graphs)
    torch.testing.assert_close(terms["contrast"], 0.1 * decoupled(first, second, nodes))
    torch.testing.assert_close(olds, [first.detach(), second.detach()])
    same = 0.01 * sum(decoupled(v, v, nodes) for v in olds)
    torch.testing.assert_close(model.persistence(batch)["bottleneck"], same)


def test_a_drop_that_is_no_probability_is_an_error():
    with pytest.raises(ValueError, match="p must be a probability"):
        AdaGCL(DATA, drop=1.0)
