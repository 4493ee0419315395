"""The general recommenders against their formulas."""

import pytest
import torch
import torch.nn.functional as F

from gcl.data import Query
from gcl.evaluation import evaluate
from gcl.losses import AlignUniform, InfoNCE
from gcl.recommenders.general.contrastive import Contrastive, contrast
from gcl.recommenders.general.directau import DirectAU
from gcl.recommenders.general.ease import EASE
from gcl.recommenders.general.lightgcn import LightGCN
from gcl.recommenders.general.popularity import Popularity
from gcl.recommenders.general.sgl import SGL
from gcl.recommenders.general.simgcl import SimGCL
from gcl.recommenders.general.xsimgcl import XSimGCL
from gcl.testing import tiny_dataset
from gcl.testing.recommenders import batch_of
from gcl.views import DropEdge, EdgeDenoiser, EdgeGates, Noise


@pytest.fixture
def data():
    return tiny_dataset()


def dense_adjacency(data):
    users, items = data.num_users, data.num_items
    matrix = torch.zeros(users + items, users + items, dtype=torch.float64)
    matrix[data.train.user, users + data.train.item] = 1
    matrix = matrix + matrix.T
    scale = matrix.sum(1).clamp(min=1).rsqrt()
    return scale[:, None] * matrix * scale


def test_popularity_counts_train_rows(data):
    model = Popularity(data)
    model.fit_closed(data)
    expected = torch.bincount(data.train.item, minlength=data.num_items).float()
    assert torch.equal(model.scores(Query(users=torch.tensor([0, 3])))[1], expected)


def test_ease_is_the_constrained_least_squares_solution(data):
    model = EASE(data, l2=3.0)
    model.fit_closed(data)
    x = torch.zeros(data.num_users, data.num_items, dtype=torch.float64)
    x[data.train.user, data.train.item] = 1
    weight = torch.zeros(data.num_items, data.num_items, dtype=torch.float64)
    for j in range(data.num_items):  # column j: ridge regression on the other items
        others = [i for i in range(data.num_items) if i != j]
        a = x[:, others]
        weight[others, j] = torch.linalg.solve(a.T @ a + 3.0 * torch.eye(len(others)).double(), a.T @ x[:, j])
    torch.testing.assert_close(model.weight.double(), weight, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(
        model.scores(Query(users=torch.arange(5))).double(), (x @ weight)[:5], atol=1e-6, rtol=1e-5
    )
    history = Query(history=torch.tensor([[2, 5, 0]]), length=torch.tensor([2]))
    torch.testing.assert_close(model.scores(history)[0].double(), weight[2] + weight[5], atol=1e-6, rtol=1e-5)


def test_ease_rejects_a_penalty_that_is_not_positive(data):
    with pytest.raises(ValueError, match="l2 must be positive"):
        EASE(data, l2=0.0)


@pytest.mark.parametrize("readout", ["mean", "sum", "mean_without_0", "last"])
def test_lightgcn_loss_is_its_formula(data, readout):
    model = LightGCN(data, dim=6, layers=2, readout=readout, negatives=2, reg=0.01)
    batch = batch_of(model, data)
    adj = dense_adjacency(data)
    e0 = model.encoder.table.detach().double()
    layers = [e0, adj @ e0, adj @ adj @ e0]
    z = {"mean": sum(layers) / 3, "sum": sum(layers), "mean_without_0": sum(layers[1:]) / 2, "last": layers[2]}[readout]
    u, i, j = batch.users, data.num_users + batch.items, data.num_users + batch.negatives
    difference = (z[u] * z[i]).sum(-1, keepdim=True) - (z[u][:, None] * z[j]).sum(-1)
    rank = F.softplus(-difference).mean()
    reg = 0.01 * 0.5 * (e0[u].square().sum() + e0[i].square().sum() + e0[j].square().sum()) / len(batch)
    terms = model.losses(batch)
    torch.testing.assert_close(terms["rank"].double(), rank, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(terms["reg"].double(), reg, atol=1e-6, rtol=1e-5)


def naive_info_nce(z1, z2, ids, tau):
    """Unique ids, cosine, one direction, in float64."""
    ids = ids.unique()
    a, b = F.normalize(z1.double()[ids], dim=1), F.normalize(z2.double()[ids], dim=1)
    logits = a @ b.T / tau
    return (torch.logsumexp(logits, 1) - logits.diagonal()).mean()


def test_simgcl_without_noise_contrasts_the_clean_pass_with_itself(data):
    model = SimGCL(data, dim=6, layers=2, views=[Noise(0.0)], objective=InfoNCE(temperature=0.2), weight=0.5)
    batch = batch_of(model, data)
    adj = dense_adjacency(data)
    e0 = model.encoder.table.detach().double()
    z = (adj @ e0 + adj @ adj @ e0) / 2
    zu, zi = z[: data.num_users], z[data.num_users :]
    expected = 0.5 * (naive_info_nce(zu, zu, batch.users, 0.2) + naive_info_nce(zi, zi, batch.items, 0.2))
    torch.testing.assert_close(model.losses(batch)["contrast"].double(), expected, atol=1e-5, rtol=1e-5)


def test_xsimgcl_contrasts_the_end_with_its_layer(data):
    model = XSimGCL(data, dim=6, layers=2, contrast_layer=1, views=[Noise(0.0)], weight=0.2)
    batch = batch_of(model, data)
    adj = dense_adjacency(data)
    e0 = model.encoder.table.detach().double()
    first = adj @ e0
    z = (first + adj @ first) / 2
    users = data.num_users
    expected = 0.2 * (
        naive_info_nce(z[:users], first[:users], batch.users, 0.15)
        + naive_info_nce(z[users:], first[users:], batch.items, 0.15)
    )
    torch.testing.assert_close(model.losses(batch)["contrast"].double(), expected, atol=1e-5, rtol=1e-5)


def test_contrast_against_everybody_counts_all_other_rows(data):
    torch.manual_seed(0)
    first, second, ids = torch.randn(12, 4), torch.randn(12, 4), torch.tensor([3, 7, 3, 0])
    a, b = F.normalize(first.double(), dim=1), F.normalize(second.double(), dim=1)
    logits = a[[0, 3, 7]] @ b.T / 0.2
    expected = (torch.logsumexp(logits, 1) - logits[torch.arange(3), [0, 3, 7]]).mean()
    value = contrast(InfoNCE(temperature=0.2), first, second, ids, whole=True)
    torch.testing.assert_close(value.double(), expected, atol=1e-6, rtol=1e-5)


def test_directau_is_alignment_and_uniformity(data):
    model = DirectAU(data, dim=6, layers=0, reg=0.0)
    batch = batch_of(model, data)
    e0 = F.normalize(model.encoder.table.detach().double(), dim=1)
    x, y = e0[batch.users], e0[data.num_users + batch.items]
    uniform = [torch.log(torch.exp(-2 * torch.pdist(z).square()).mean()) for z in (x, y)]
    expected = (x - y).square().sum(1).mean() + (uniform[0] + uniform[1]) / 2
    torch.testing.assert_close(model.losses(batch)["contrast"].double(), expected, atol=1e-5, rtol=1e-5)


def test_two_entries_are_two_different_views(data):
    model = Contrastive(data, dim=4, views=[DropEdge(0.0), Noise(0.0)])
    assert [type(v[0]).__name__ for v in model.views] == ["DropEdge", "Noise"]


def test_views_are_counted_and_typed(data):
    with pytest.raises(ValueError, match=r"views must have one entry, drawn twice, or two entries, got 3"):
        Contrastive(data, views=[Noise(), Noise(), Noise()])
    with pytest.raises(ValueError, match="views must be of GraphView here, got Linear"):
        Contrastive(data, views=[[torch.nn.Linear(1, 1)]])
    with pytest.raises(ValueError, match="contrast_layer must be one of the layers 1 .. 2, got 3"):
        XSimGCL(data, layers=2, contrast_layer=3)
    with pytest.raises(ValueError, match="XSimGCL takes one pass, got 2"):
        XSimGCL(data, views=[Noise(), Noise()])


def test_a_wrong_kind_of_objective_names_the_right_ones(data):
    with pytest.raises(ValueError, match="objective of LightGCN must be of kind ranking, got InfoNCE of kind pair"):
        LightGCN(data, objective=InfoNCE())


def test_scores_follow_the_parameters(data):
    model = LightGCN(data, dim=4).eval()
    query = Query(users=torch.tensor([0]))
    with torch.no_grad():
        before = model.scores(query)
        model.encoder.table.mul_(2.0)
        torch.testing.assert_close(model.scores(query), 4 * before)


def test_scores_follow_a_fused_optimiser(data):
    model = LightGCN(data, dim=4)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1, fused=True)
    query = Query(users=torch.tensor([0]))
    model.eval()
    with torch.no_grad():
        before = model.scores(query)
    model.train()
    sum(model.losses(batch_of(model, data)).values()).backward()
    optimiser.step()
    model.eval()
    with torch.no_grad():
        assert not torch.equal(model.scores(query), before)


def test_adversarial_views_maximise_what_the_rest_minimises(data):
    torch.manual_seed(0)
    model = Contrastive(data, dim=8, layers=2, views=[EdgeGates(0.6, adversarial=True), EdgeGates(0.6)])
    model.generator = torch.Generator()
    views, main = model.phases()
    assert [p.shape for p in views.parameters] == [p.shape for p in model.views[0].parameters()]
    assert {id(p) for p in views.parameters}.isdisjoint(id(p) for p in main.parameters)
    assert len(views.parameters) + len(main.parameters) == len(list(model.parameters()))
    batch = batch_of(model, data)

    def contrast():
        model.generator.manual_seed(3)
        return model.contrast(batch)

    before = contrast()
    model.generator.manual_seed(3)
    loss = views.losses(batch)["contrast"]
    torch.testing.assert_close(loss, -before)
    gradients = torch.autograd.grad(loss, views.parameters)
    with torch.no_grad():
        for p, g in zip(views.parameters, gradients, strict=True):
            p -= 0.01 * g / g.norm().clamp(min=1e-9)
    assert contrast() > before


@pytest.mark.parametrize("build", [Contrastive, XSimGCL])
def test_views_with_losses_of_their_own_add_them(build, data):
    """The generator moves by its own terms, the table by none of these."""
    torch.manual_seed(0)
    model = build(data, dim=8, layers=2, views=[[EdgeDenoiser(2, price=0.5)]], weight=0.3)
    plain = build(data, dim=8, layers=2, views=[Noise(0.1)], weight=0.3)
    batch = batch_of(model, data)
    terms = model.losses(batch)
    own = {"EdgeDenoiser.generator", "EdgeDenoiser.price"}
    assert set(terms) == set(plain.losses(batch)) | own
    theirs = [p for name, p in model.named_parameters() if name.startswith("view")]
    table = model.encoder.table
    apart = sum(v for k, v in terms.items() if k in own)
    together = sum(v for k, v in terms.items() if k not in own)
    assert torch.autograd.grad(apart, table, allow_unused=True, retain_graph=True)[0] is None
    assert all(bool(g.any()) for g in torch.autograd.grad(apart, theirs, retain_graph=True))
    assert all(g is None for g in torch.autograd.grad(together, theirs, allow_unused=True))


def test_evaluation_follows_a_training_loop_of_ones_own(data):
    model = LightGCN(data, dim=4, layers=2)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1, fused=True)
    for _ in range(3):
        sum(model.losses(batch_of(model, data)).values()).backward()
        optimiser.step()
        found = evaluate(model, data, "valid", k=5).metrics
        fresh = LightGCN(data, dim=4, layers=2)
        fresh.load_state_dict(model.state_dict())
        assert found == evaluate(fresh, data, "valid", k=5).metrics


def test_an_objective_without_room_for_negatives_contrasts_within_the_batch(data):
    model = SGL(data, dim=4, objective=AlignUniform())
    assert not model.whole
    assert torch.isfinite(model.losses(batch_of(model, data, size=4))["contrast"])


def test_settings_that_cannot_be_are_errors_at_construction(data):
    with pytest.raises(ValueError, match="reg of LightGCN must not be negative, got -1"):
        LightGCN(data, reg=-1.0)
    with pytest.raises(ValueError, match="weight of SimGCL must not be negative, got -0.1"):
        SimGCL(data, weight=-0.1)
    with pytest.raises(ValueError, match="negatives must be at least 1 for a ranking loss, got 0"):
        LightGCN(data, negatives=0)
    for build in (Contrastive, XSimGCL):
        with pytest.raises(ValueError, match="DropEdge changes edges and cannot follow"):
            build(data, views=[[Noise(), DropEdge()]])
