"""AD-GCL: who moves in which phase, and what the budget is for."""

import copy

import pytest
import torch
from small_graphs import generator, made
from torch_geometric.data import Batch
from torch_geometric.utils import coalesce

from gcl import ssl


def test_the_learner_raises_the_contrast_and_the_encoder_lowers_it_on_one_batch() -> None:
    method, data = made("ADGCL", budget=0.0)
    learner, encoder = method.phases()

    def now() -> float:
        return float(method.losses(data, generator())["contrast"].detach())

    for phase, sign in ((learner, 1), (encoder, -1)):
        method.eval()
        sgd = torch.optim.SGD(list(phase.parameters), 1e-4)
        before = now()
        for _ in range(5):
            sgd.zero_grad()
            torch.stack(list(phase.losses(data, generator()).values())).sum().backward()
            sgd.step()
        assert sign * (now() - before) > 0


def test_both_directions_of_an_edge_have_one_weight() -> None:
    method, data = made("ADGCL")
    weight = method.learner(data, generator())
    edges, there = coalesce(data.edge_index, weight)
    back = coalesce(edges.flip(0), there)[1]
    assert torch.allclose(there, back, atol=1e-6) and bool(((weight > 0) & (weight < 1)).all()) and weight.std() > 0


def test_phases_leave_modes_and_gradients_as_they_were() -> None:
    method, data = made("ADGCL")
    method.train()
    norm = copy.deepcopy(method.encoder.norms[0].state_dict())
    method.adversary(data, generator())
    assert all(part.training for part in method.modules())
    assert all(p.requires_grad for p in method.parameters())
    assert all(torch.equal(norm[k], v) for k, v in method.encoder.norms[0].state_dict().items())


def test_the_encoders_phase_leaves_the_learner_as_it_was() -> None:
    method, data = made("ADGCL")
    method.train()
    before = copy.deepcopy(method.learner.state_dict())
    method.losses(data, generator())["contrast"].backward()
    assert all(torch.equal(before[k], v) for k, v in method.learner.state_dict().items())
    assert all(p.grad is None for p in method.learner.parameters())


def test_weights_that_edges_have_are_weighed_and_not_replaced() -> None:
    method, data = made("ADGCL")
    data.edge_weight = torch.zeros(data.num_edges)
    data.edge_weight[::2] = 1.0
    cut = copy.copy(data)
    seen: list[torch.Tensor] = []
    method.encoder.register_forward_pre_hook(
        lambda _, inputs, given: seen.append(given["edge_weight"]), with_kwargs=True
    )
    method.losses(cut, generator())
    assert torch.equal(seen[0], data.edge_weight)
    assert bool((seen[1][1::2] == 0).all()) and bool((seen[1][::2] > 0).all())


@pytest.mark.slow
@pytest.mark.parametrize("budget", [0.0, 5.0])
def test_edges_fall_without_a_budget_and_stay_with_one(gcl_data, budget: float) -> None:
    from gcl.data.graphs import load_graphs

    graphs = load_graphs("mutag")
    torch.manual_seed(0)
    method = ssl.ADGCL(ssl.ADGCL.default_encoder(graphs.num_features), budget=budget)
    adams = [torch.optim.Adam(list(p.parameters), 1e-3) for p in method.phases()]
    draws = generator()
    whole = Batch.from_data_list(list(graphs.graphs))
    for _ in range(30):
        for rows in torch.randperm(len(graphs), generator=draws).split(47):
            data = Batch.from_data_list([graphs.graphs[i] for i in rows.tolist()])
            for phase, adam in zip(method.phases(), adams, strict=True):
                adam.zero_grad()
                torch.stack(list(phase.losses(data, draws).values())).sum().backward()
                adam.step()
    keep = method.report(whole)["keep"]
    assert keep < 0.5 if budget == 0.0 else keep > 0.6, keep
