"""LightGCN's encoder and the readouts."""

import pytest
import torch

from gcl.encoders import LightGCNEncoder, read
from gcl.testing import tiny_dataset
from gcl.views import Noise


def test_a_graph_without_edges_leaves_the_table_over_the_layers():
    data = tiny_dataset()
    nothing = data.train.select(torch.zeros(0, dtype=torch.int64))
    encoder = LightGCNEncoder(nothing, dim=4, layers=3)
    torch.testing.assert_close(encoder.read(encoder()), encoder.table / 4)


def test_steps_one_by_one_equal_the_fused_steps():
    encoder = LightGCNEncoder(tiny_dataset().train, dim=4, layers=3)
    for fused, single in zip(encoder(), encoder([Noise(0.0)]), strict=True):
        torch.testing.assert_close(fused, single)


def test_rows_are_those_of_the_table():
    encoder = LightGCNEncoder(tiny_dataset().train, dim=4, layers=1)
    users, items = torch.tensor([2, 0]), torch.tensor([[1, 3], [4, 5]])
    u, i = encoder.rows(encoder.table, users, items)
    assert torch.equal(u, encoder.table[users])
    assert torch.equal(i, encoder.table[encoder.num_users + items])


def test_readouts():
    layers = [torch.full((1, 1), v) for v in (1.0, 2.0, 6.0)]
    assert [read(layers, r).item() for r in ("mean", "sum", "mean_without_0", "last")] == [3.0, 9.0, 4.0, 6.0]
    assert all(read(layers[:1], r).item() == 1.0 for r in ("mean", "sum", "mean_without_0", "last"))


def test_sizes_are_checked():
    train = tiny_dataset().train
    with pytest.raises(ValueError, match="dim must be at least 1, got 0"):
        LightGCNEncoder(train, dim=0, layers=1)
    with pytest.raises(ValueError, match="layers must be at least 0, got -1"):
        LightGCNEncoder(train, dim=4, layers=-1)
