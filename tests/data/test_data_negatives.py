"""Negatives: exact complements, right distributions."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gcl.data import TrainInteractions
from gcl.data import negatives as module
from gcl.data.negatives import AliasTable, Popular, RankMap
from gcl.errors import InputError


def interactions(density=0.4, users=12, items=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(users, items, generator=generator) < density
    chosen[0], chosen[1] = False, True
    chosen[torch.arange(users), 6 + torch.arange(users)] = False  # one user without items, one with all but one
    user, item = chosen.nonzero(as_tuple=True)
    order = torch.randperm(user.numel(), generator=generator)
    return TrainInteractions(user[order], item[order], users, items)


def close(counts, probabilities):
    """Whether counts are within five deviations of what independent draws give."""
    total = counts.sum()
    spread = (total * probabilities * (1 - probabilities)).sqrt()
    return bool(((counts - total * probabilities).abs() <= 5 * spread + 1e-9).all())


def test_rank_map_is_uniform_on_the_complement(rng):
    train = interactions()
    drawn = RankMap(train).draw(torch.arange(12), 8000, rng)
    for u in range(12):
        counts = torch.bincount(drawn[u], minlength=20).double()
        free = ~train.contains(torch.full((20,), u), torch.arange(20))
        assert close(counts, free / free.sum())


def test_rank_map_reaches_the_only_item_left(rng):
    assert RankMap(interactions()).draw(torch.tensor([1]), 50, rng).unique().tolist() == [7]


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 0.95))
def test_no_draw_is_ever_a_train_item(seed, density):
    train = interactions(density, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    users = torch.arange(12).repeat(3)
    for source in (RankMap(train), Popular(train, 0.75)):
        drawn = source.draw(users, 5, generator)
        assert drawn.shape == (36, 5)
        assert int(drawn.min()) >= 0 and int(drawn.max()) < 20
        assert not train.contains(users[:, None].expand_as(drawn), drawn).any()


def test_a_user_with_every_item_is_an_error():
    user, item = torch.ones(2, 3).nonzero(as_tuple=True)
    with pytest.raises(InputError, match=r"user 0 \(internal id\), who has all 3 items in train \(2 such users\)"):
        RankMap(TrainInteractions(user, item, 2, 3))


@settings(deadline=None, max_examples=300)
@example([100.0, 100.0, 100.0, 1.5, 1.5, 1.5])
@example([0.0, 0.5, 1.0])
@example([1.0, 0.0, 1.0, 2.0, 1.0])
@given(st.lists(st.floats(0, 100), min_size=1, max_size=40).filter(lambda w: sum(w) > 1e-3))
def test_alias_table_holds_the_distribution_exactly(weights):
    weights = torch.tensor(weights, dtype=torch.float64)
    table = AliasTable(weights)
    held = table.keep.index_add(0, table.alias, 1 - table.keep) / len(weights)
    torch.testing.assert_close(held, weights / weights.sum(), atol=1e-12, rtol=1e-9)
    assert bool(((table.keep > -1e-9) & (table.keep <= 1)).all())


def test_alias_draws_follow_the_distribution(rng):
    weights = torch.tensor([0.0, 1.0, 5.0, 0.5, 3.5])
    counts = torch.bincount(AliasTable(weights).draw((100, 400), rng).flatten(), minlength=5).double()
    assert counts[0] == 0 and close(counts, weights.double() / 10)


def test_popular_negatives_follow_degree_to_the_power_outside_train(rng):
    train = interactions(0.3)
    counts = torch.bincount(Popular(train, 0.75).draw(torch.full((200,), 4), 200, rng).flatten(), minlength=20)
    weight = train.by_item.counts.double() ** 0.75
    weight[train.contains(torch.full((20,), 4), torch.arange(20))] = 0
    assert close(counts.double(), weight / weight.sum())


def test_popular_falls_back_to_the_rank_map(rng):
    """All items of positive degree belong to the user: each redraw hits, the fallback is uniform on the rest."""
    train = TrainInteractions(torch.tensor([0, 0]), torch.tensor([0, 1]), 1, 5)
    counts = torch.bincount(Popular(train, 1.0).draw(torch.zeros(100, dtype=torch.int64), 60, rng).flatten())
    assert close(counts.double(), torch.tensor([0, 0, 1, 1, 1]) / 3)


def test_blocks_do_not_change_what_is_exact(rng, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 10)
    train, users = interactions(), torch.arange(12).repeat(3)
    for source in (RankMap(train), Popular(train, 0.5)):
        drawn = source.draw(users, 3, rng)
        assert not train.contains(users[:, None].expand_as(drawn), drawn).any()
