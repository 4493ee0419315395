"""A comparison stops where test has leaked into training."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from gcl.bench.guards import require_clean, require_train_graphs
from gcl.errors import InputError
from gcl.graph import Adjacency
from gcl.recommenders.general.lightgcn import LightGCN
from gcl.testing import tiny_dataset


def test_split():
    data = tiny_dataset()
    require_clean(data)
    split = replace(data.split)
    object.__setattr__(split, "valid", data.valid.union(data.test))
    with pytest.raises(InputError, match=r"'tiny' leaks from train to test: \d+ pairs stand in valid and in test"):
        require_clean(replace(data, split=split))


def test_graph_of_train_alone():
    data = tiny_dataset()
    require_train_graphs(LightGCN(data, dim=4), data)


def test_a_graph_is_built_from_train_by_its_type():
    data = tiny_dataset()
    with pytest.raises(TypeError, match="a bipartite graph is built from TrainInteractions alone"):
        Adjacency.bipartite(data.split.seen)


class Leaking(nn.Module):
    """Holds a graph of all pairs, square or of users by items."""

    def __init__(self, data, square):
        super().__init__()
        pairs = data.split.seen.union(data.test)
        user, item = pairs.user, pairs.item
        if square:
            node, size = item + data.num_users, data.num_users + data.num_items
            row, col = torch.cat([user, node]), torch.cat([node, user])
            self.graph = Adjacency.from_edges(row, col, size, size)
        else:
            self.graph = Adjacency.from_edges(user, item, data.num_users, data.num_items)


def test_graph_of_items_and_their_users():
    data = tiny_dataset()
    model = Leaking(data, False)
    model.graph = Adjacency.from_edges(data.test.item, data.test.user, data.num_items, data.num_users)
    with pytest.raises(InputError, match=f"holds {len(data.test)} pairs .* {len(data.test)} of them in test"):
        require_train_graphs(model, data)


@pytest.mark.parametrize("square", [True, False])
def test_graph_with_pairs_of_test(square):
    data = tiny_dataset()
    times = 2 if square else 1
    unknown, tested = times * (len(data.valid) + len(data.test)), times * len(data.test)
    text = (
        f"the graph 'graph' of Leaking holds {unknown} pairs of a user and an item that are not in train, {tested} of "
        r"them in test; build it from train alone \(Adjacency.bipartite\)\."
    )
    with pytest.raises(InputError, match=text):
        require_train_graphs(Leaking(data, square), data)


def test_graph_of_items_is_not_looked_at():
    data = tiny_dataset()
    model = nn.Module()
    model.graph = Adjacency.from_edges(torch.tensor([0, 1]), torch.tensor([1, 0]), data.num_items, data.num_items)
    require_train_graphs(model, data)
