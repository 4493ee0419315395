"""Learnt gates on columns against their formula."""

import pytest
import torch
from torch_geometric.data import Data

from gcl.graph import Adjacency
from gcl.recommenders.general.contrastive import Contrastive
from gcl.testing import check_graph_view, tiny_dataset
from gcl.testing.data_views import check_data_view
from gcl.testing.recommenders import batch_of
from gcl.views import FeatureGates, Noise, chain

DATA = tiny_dataset()
N = DATA.num_users + DATA.num_items


def prepared(**options):
    view = FeatureGates(**options)
    view.prepare(8)
    with torch.no_grad():
        view.weight.copy_(torch.linspace(-4, 9, 8))
    return view


@pytest.mark.parametrize("options", [{"keep": 0.7}, {"keep": 0.5, "relaxation": "straight_through"}])
def test_feature_gates_hold_the_contracts(options):
    check_graph_view(lambda: FeatureGates(**options))
    check_data_view(lambda: FeatureGates(**options))


@pytest.mark.parametrize("relaxation", ["concrete", "straight_through"])
def test_gates_are_their_formula_and_hold_for_all_layers(relaxation):
    view = prepared(keep=0.4, relaxation=relaxation, temperature=0.6)
    adj = Adjacency.bipartite(DATA.train).normalize("sym")
    x = torch.randn(N, 8, generator=torch.Generator().manual_seed(1))
    omega = 6 * torch.tanh(view.weight / 6)
    low, high = torch.tensor(-30.0).double(), torch.tensor(30.0).double()
    for _ in range(80):
        theta = (low + high) / 2
        low, high = (theta, high) if torch.sigmoid(omega.double() - theta).mean() > 0.4 else (low, theta)
    u = torch.rand(8, generator=torch.Generator().manual_seed(2))
    y = torch.sigmoid((u.log() - (1 - u).log() + omega - theta.float()) / 0.6)
    y = (y > 0.5).float() if relaxation == "straight_through" else y
    step = chain([view], adj, torch.Generator().manual_seed(2))
    torch.testing.assert_close(step(x, 1), y * (adj @ x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(step(x, 2), y * (adj @ x), atol=1e-4, rtol=1e-4)
    data = Data(x=x, edge_index=torch.stack([adj.row, adj.indices]).long())
    torch.testing.assert_close(view(data, torch.Generator().manual_seed(2)).x, y * x, atol=1e-4, rtol=1e-4)


def test_the_budget_holds_and_is_what_is_reported():
    view = prepared(keep=0.3, relaxation="straight_through")
    p = torch.sigmoid(view.logits())
    torch.testing.assert_close(p.mean(), torch.tensor(0.3), atol=1e-5, rtol=0)
    rng = torch.Generator().manual_seed(0)
    draws = torch.stack([view.draw(rng).detach() for _ in range(4000)])
    torch.testing.assert_close(draws.mean(0), p.detach(), atol=0.03, rtol=0)
    adj = Adjacency.bipartite(DATA.train)
    assert view.report(adj, torch.zeros(N, 8)) == {
        "keep": pytest.approx(0.3, abs=1e-5),
        "deviation": pytest.approx(p.std(correction=0).item()),
    }


@pytest.mark.parametrize("adversarial", [True, False])
def test_a_model_learns_its_gates_on_the_side_that_they_are_on(adversarial):
    model = Contrastive(DATA, dim=8, views=[[Noise(0.1), FeatureGates(adversarial=adversarial)]])
    phases = model.phases()
    assert [phase.name for phase in phases] == (["views", "main"] if adversarial else ["main"])
    (gates,) = {id(v): v for v in model.views.modules() if isinstance(v, FeatureGates)}.values()
    torch.stack(list(phases[0].losses(batch_of(model, DATA)).values())).sum().backward()
    assert gates.weight.grad is not None and bool((gates.weight.grad != 0).all())


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"keep must be a share in \(0, 1\), got 0"):
        FeatureGates(keep=0)
    with pytest.raises(ValueError, match="relaxation must be 'concrete' or 'straight_through', got 'hard'"):
        FeatureGates(relaxation="hard")
    with pytest.raises(ValueError, match="FeatureGates has no parameters yet"):
        FeatureGates().draw(None)
