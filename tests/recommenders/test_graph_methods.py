"""The recommenders on learnt views against their formulas, in float64 and without sparse products."""

import pytest
import torch
import torch.nn.functional as F

from gcl.losses import AlignUniform, BarlowTwins
from gcl.recommenders.general.contrastive import Contrastive
from gcl.recommenders.general.dccf import DCCF
from gcl.recommenders.general.hccf import HCCF
from gcl.recommenders.general.lightgcl import LightGCL
from gcl.recommenders.general.ncl import NCL
from gcl.recommenders.kmeans import kmeans
from gcl.testing import tiny_dataset
from gcl.testing.recommenders import batch_of
from gcl.views import SVD, Noise

DATA = tiny_dataset()
U, N = DATA.num_users, DATA.num_users + DATA.num_items


def dense():
    matrix = torch.zeros(N, N, dtype=torch.float64)
    matrix[DATA.train.user, U + DATA.train.item] = 1
    matrix = matrix + matrix.T
    scale = matrix.sum(1).clamp(min=1).rsqrt()
    return scale[:, None] * matrix * scale


def exact(model):
    """The model in float64, its batch, the rows of the batch in the table."""
    torch.manual_seed(0)
    model = model.double()
    model.encoder.adj = model.encoder.adj.with_values(
        dense()[model.encoder.adj.row.long(), model.encoder.adj.indices.long()], symmetric=True
    )
    batch = batch_of(model, DATA)
    return model, batch, (batch.users, U + batch.items, U + batch.negatives)


def bpr(z, rows):
    u, i, j = rows
    return F.softplus((z[u][:, None] * z[j]).sum(-1) - (z[u] * z[i]).sum(-1, keepdim=True)).mean()


def ego(table, rows):
    return 0.5 * sum(table[r].square().sum() for r in rows) / len(rows[0])


def nce(a, b, tau, among=None):
    """Mean over rows of the loss with a row's partner; candidates are the rows of b, or those of ``among``."""
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    among = b if among is None else F.normalize(among, dim=1)
    return ((a @ among.T / tau).exp().sum(1).log() - (a * b).sum(1) / tau).mean()


def same(model, terms, expected):
    """Terms, and the gradient of their sum for every parameter, are the expected ones."""
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, atol=1e-10, rtol=1e-8, msg=lambda m, n=name: f"{n}: {m}")
    parameters = list(model.parameters())
    found = torch.autograd.grad(sum(terms.values()), parameters, allow_unused=True)
    wanted = torch.autograd.grad(sum(expected.values()), parameters, retain_graph=True, allow_unused=True)
    for f, w in zip(found, wanted, strict=True):
        torch.testing.assert_close(f, w, atol=1e-9, rtol=1e-7)


def masked(scored, graph):
    alike = (F.normalize(scored, dim=1) @ F.normalize(scored, dim=1).T + 1) / 2 * (graph > 0)
    total = alike.sum(1, keepdim=True)
    return alike / torch.where(total > 0, total, 1.0)


@pytest.mark.parametrize("layout", ["authors", "sslrec"])
def test_dccf_is_its_formula(layout):
    model = DCCF(DATA, dim=6, intents=5, layout=layout, negatives=2, reg=0.3, decay=0.01, independence=0.2)
    model, batch, rows = exact(model)
    graph, x, table = dense(), model.encoder.table, model.encoder.table
    cu, ci = model.intents.prototypes
    users, items = batch.users.unique(), batch.items.unique()
    if layout == "sslrec":
        items = torch.cat([batch.items, batch.negatives.flatten()]).unique()
    total, between = x, 0.0
    for _ in range(2):
        z = graph @ x
        s = torch.cat([torch.softmax(x[:U] @ cu, 1) @ cu.T, torch.softmax(x[U:] @ ci, 1) @ ci.T])
        g, q = masked(z, graph) @ x, masked(s, graph) @ x
        for v in (s, g, q):
            share = len(items) / len(users) if layout == "sslrec" else 1
            between = between + nce(z[users], v[users], 1.0) + share * nce(z[U + items], v[U + items], 1.0)
        x = z + s + g + q + x
        total = total + x
    squares = cu.square().sum() + ci.square().sum()
    cosines = [F.normalize(c, dim=0).T @ F.normalize(c, dim=0) for c in (cu, ci)]
    expected = {
        "rank": bpr(total, rows),
        "reg": 0.3 * ego(table, rows),
        "contrast": 0.1 * between,
        "intents": 5e-3 * squares,
        "decay": 0.01 * (squares + table.square().sum()),
        "independence": 0.2 * sum((c.square().sum() - 5) / 20 for c in cosines) / 2,
    }
    same(model, model.losses(batch), expected)
    torch.testing.assert_close(torch.cat(model.tables()), total)


@pytest.mark.parametrize("branch", [0, 1, 2])
def test_intents_of_dccf_learn_where_edges_are_weighed_by_them(branch):
    """S and Q reach the prototypes in layer 1, G from layer 2 on: through the values of the sparse product."""
    model, batch, _ = exact(DCCF(DATA, dim=6, intents=5))
    _, looks = model.layers()
    chosen = [(look[0], look[1 + branch]) for look in looks]
    for level, reached in ((0, branch != 1), (1, True)):
        gradients = torch.autograd.grad(
            model.contrast([chosen[level]], batch),
            list(model.intents.parameters()),
            retain_graph=True,
            allow_unused=True,
        )
        assert all((g is not None and bool(g.abs().sum() > 0)) == reached for g in gradients)


def test_lightgcl_is_its_formula():
    model, batch, rows = exact(LightGCL(DATA, dim=6, views=[SVD(3)], decay=0.01))
    graph, table = dense(), model.encoder.table
    layers = [table, graph @ table, graph @ graph @ table]
    low = model.view[0]
    block = low.left @ torch.diag(low.strength) @ low.right.T
    low_rank = torch.zeros_like(graph)
    low_rank[:U, U:], low_rank[U:, :U] = block, block.T
    e, g = sum(layers), table + low_rank @ (layers[0] + layers[1])
    users, items = batch.users.unique(), torch.cat([batch.items, batch.negatives.flatten()]).unique()

    def dot(a, b, among):
        return ((a @ among.T / 0.2).exp().sum(1).log() - (a * b).sum(1) / 0.2).mean()

    between = dot(g[users], e[users], e[:U]) + dot(g[U + items], e[U + items], e[U:])
    expected = {"rank": bpr(e, rows), "contrast": 0.2 * between, "reg": 0.01 * table.square().sum()}
    same(model, model.losses(batch), expected)
    torch.testing.assert_close(torch.cat(model.tables()), e)


@pytest.mark.parametrize(("scale", "slope", "p"), [(1.0, 1.0, 0.0), (0.3, 0.5, 0.0), (1.0, 1.0, 0.4)])
def test_hccf_is_its_formula(scale, slope, p):
    model, batch, rows = exact(HCCF(DATA, dim=6, hyperedges=5, p=p, scale=scale, slope=slope, decay=0.01))
    model.generator = torch.Generator().manual_seed(3)
    terms, drawn = model.losses(batch), torch.Generator().manual_seed(3)
    adj, graph, x, table = model.encoder.adj, dense(), model.encoder.table, model.encoder.table
    hyper = [scale * table[:U] @ model.hypergraph.weights[0], scale * table[U:] @ model.hypergraph.weights[1]]
    users, items = batch.users.unique(), batch.items.unique()
    total, between = x, 0.0

    def kept(*shape):
        return (torch.rand(*shape, generator=drawn) >= p).double() / (1 - p) if p else torch.ones(*shape).double()

    def bent(z):
        return torch.where(z > 0, z, slope * z)

    for _ in range(2):
        edges = kept(adj.num_undirected)[adj.undirected.long()]
        m = graph * torch.zeros_like(graph).index_put((adj.row.long(), adj.indices.long()), edges) @ x
        sides = [h * kept(*h.shape) for h in hyper]
        g = torch.cat([bent(h @ bent(h.T @ part)) for h, part in zip(sides, (x[:U], x[U:]), strict=True)])
        fixed = m.detach()
        between = between + nce(fixed[users], g[users], 0.1, g[:U]) + nce(fixed[U + items], g[U + items], 0.1, g[U:])
        x = m + g
        total = total + x
    whole = table.square().sum() + sum(w.square().sum() for w in model.hypergraph.weights)
    same(model, terms, {"rank": bpr(total, rows), "contrast": 0.2 * between, "reg": 0.01 * whole})
    if not p:
        torch.testing.assert_close(torch.cat(model.tables()), total)


def test_hccf_drops_in_training_alone():
    torch.manual_seed(0)
    model = HCCF(DATA, dim=6, hyperedges=5, p=0.5)
    model.generator = torch.Generator().manual_seed(0)
    assert not torch.equal(torch.cat(model.tables()), torch.cat(model.tables()))
    model.eval()
    clean = HCCF(DATA, dim=6, hyperedges=5, p=0.0)
    clean.load_state_dict(model.state_dict())
    torch.testing.assert_close(torch.cat(model.tables()), torch.cat(clean.tables()))


def test_lightgcl_drops_edges_of_the_local_layers_and_scores_on_all():
    model, batch, rows = exact(LightGCL(DATA, dim=6, views=[SVD(3)], p=0.4, weight=0.0, decay=0.0))
    model.generator = torch.Generator().manual_seed(3)
    adj, table, rank = model.encoder.adj, model.encoder.table, model.losses(batch)["rank"]
    keep = (torch.rand(adj.num_undirected, generator=torch.Generator().manual_seed(3)) >= 0.4).double() / 0.6
    edges = keep[adj.undirected.long()]
    dropped = dense() * torch.zeros(N, N).double().index_put((adj.row.long(), adj.indices.long()), edges)
    torch.testing.assert_close(rank, bpr(table + dropped @ table + dropped @ dropped @ table, rows))
    torch.testing.assert_close(torch.cat(model.tables()), table + dense() @ table + dense() @ dense() @ table)


@pytest.mark.parametrize("objective", [BarlowTwins(), AlignUniform()])
@pytest.mark.parametrize("model", [HCCF, LightGCL, NCL])
def test_objectives_without_a_place_for_further_negatives_stay_within_the_batch(model, objective, caplog):
    with caplog.at_level("INFO", logger="gcl.recommenders"):
        built = model(DATA, dim=6, objective=objective, **({"clusters": 3} if model is NCL else {}))
    assert f"{type(objective).__name__} has no place for further negatives" in caplog.text
    terms = built.losses(batch_of(built, DATA))
    assert all(bool(torch.isfinite(term)) for term in terms.values())


def test_ncl_is_its_formula():
    model, batch, rows = exact(NCL(DATA, dim=6, layers=1, clusters=4, warm_up=2, alpha=0.7, weight=0.5, reg=0.1))
    graph, table = dense(), model.encoder.table
    users, items = batch.users.unique(), batch.items.unique()
    z, two = (table + graph @ table) / 2, graph @ graph @ table
    structure = nce(two[users], table[users], 0.1, table[:U]) + 0.7 * nce(
        two[U + items], table[U + items], 0.1, table[U:]
    )
    expected = {"rank": bpr(z, rows), "structure": 0.5 * structure, "reg": 0.1 * ego(table, rows)}
    model.begin_epoch(2, torch.Generator().manual_seed(0))
    terms = model.losses(batch)
    assert terms["prototype"].item() == 0.0
    same(model, terms, {**expected, "prototype": 0.0 * table.sum()})
    model.begin_epoch(3, torch.Generator().manual_seed(0))
    own_user, own_item = model.user_centroids[model.user_cluster], model.item_centroids[model.item_cluster]
    prototype = nce(table[users], own_user[users], 0.1, model.user_centroids) + 0.7 * nce(
        table[U + items], own_item[items], 0.1, model.item_centroids
    )
    same(model, model.losses(batch), {**expected, "prototype": 3e-4 * prototype})
    assert {"user_cluster", "item_centroids", "warm"} <= set(model.state_dict())


def test_kmeans_finds_groups_and_settles():
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.eye(4)
    group = torch.arange(200) % 4
    x = centres[group] + 0.1 * torch.randn(200, 4, generator=generator)
    best = min((kmeans(x, 4, generator) for _ in range(8)), key=lambda found: (x - found[0][found[1]]).square().sum())
    centroids, nearest = best
    assert len(torch.unique(torch.stack([group, nearest]), dim=1).T) == 4
    for c in range(4):
        torch.testing.assert_close(centroids[c], x[nearest == c].mean(0))
    distance = torch.cdist(x, centroids)
    assert torch.equal(distance.argmin(1), nearest)
    again = kmeans(x, 4, torch.Generator().manual_seed(1))
    assert torch.equal(again[0], kmeans(x, 4, torch.Generator().manual_seed(1))[0])


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: DCCF(DATA, layers=0), "layers of DCCF must be at least 1"),
        (lambda: DCCF(DATA, layout="autors"), "layout must be 'authors' or 'sslrec', got 'autors'"),
        (lambda: NCL(DATA, clusters=3, warm_up=-1), "warm_up of NCL must not be negative, got -1"),
        (lambda: Contrastive(DATA, candidates="al"), "candidates must be 'batch' or 'all', got 'al'"),
        (lambda: Contrastive(DATA, readout="men"), "readout must be 'mean', 'sum', .* or 'last', got 'men'"),
        (lambda: Contrastive(DATA, views=[[Noise(), SVD()]]), "SVD takes a step of its own"),
        (lambda: HCCF(DATA, layers=0), "layers of HCCF must be at least 1"),
        (lambda: NCL(DATA, clusters=0), "clusters of NCL must be at least 1, got 0"),
        (lambda: NCL(DATA, clusters=3, hops=0), "hops of NCL must be at least 1, got 0"),
        (lambda: NCL(DATA, clusters=3, prototype_temperature=0.0), "prototype_temperature of NCL must be positive"),
        (lambda: LightGCL(DATA, views=[SVD(2), SVD(3)]), "views must have one entry, the other side is the graph"),
        (lambda: kmeans(torch.zeros(3, 2), 4, None), r"clusters must lie in \[1, 3\], the number of rows, got 4"),
    ],
)
def test_arguments_are_checked(build, text):
    with pytest.raises(ValueError, match=text):
        build()


@pytest.mark.parametrize("name", ["authors", "sslrec"])
def test_named_configurations_of_dccf(name):
    from gcl import build, config
    from gcl.data import share

    resolved = config.resolve("DCCF", DATA, config_file=share("configs", "dccf", f"{name}.yaml"))
    model = build.create("DCCF", DATA, resolved.model)
    assert (model.encoder.dim, model.intents.intents) == (32, 128)
    assert float(resolved.model["objective"]["temperature"]) == {"authors": 1.0, "sslrec": 0.2}[name]
    assert resolved.model["layout"] == name
    batch = resolved.train["batch_size"]
    assert resolved.model["reg"] == pytest.approx({"authors": 5e-5 * batch, "sslrec": 0.0}[name])
