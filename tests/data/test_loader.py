"""Loaders of pairs and users: coverage, exactness, reproduction, resumption."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from gcl.data import Dataset, Interactions, Pairs, Sequences, Split, TrainInteractions, Users, loader
from gcl.errors import InputError


def dataset(user, item, users, items, time=True):
    user, item = torch.as_tensor(user), torch.as_tensor(item)
    stamp = torch.arange(len(user)) if time else None
    nothing = torch.zeros(0, dtype=torch.int64)
    empty = Interactions(nothing, nothing, users, items, nothing if time else None)
    split = Split(TrainInteractions(user, item, users, items, stamp), empty, empty, {"kind": "made"})
    return Dataset("made", split, np.arange(users).astype(str), np.arange(items).astype(str))


@pytest.fixture
def data(rng):
    chosen = torch.rand(13, 17, generator=rng) < 0.3
    chosen[5] = False
    user, item = chosen.nonzero(as_tuple=True)
    order = torch.randperm(len(user), generator=rng)
    return dataset(user[order], item[order], 13, 17)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_pairs_give_every_interaction_once_with_exact_negatives(data):
    made = loader(data, Pairs(negatives=3), 8, seeded())
    batches = list(made)
    assert len(batches) == len(made) == -(-len(data.train) // 8)
    assert [len(b) for b in batches[:-1]] == [8] * (len(made) - 1)
    users, items = torch.cat([b.users for b in batches]), torch.cat([b.items for b in batches])
    assert torch.equal((users * 17 + items).sort().values, data.train.keys)
    negatives = torch.cat([b.negatives for b in batches])
    assert negatives.shape == (len(data.train), 3)
    assert not data.train.contains(users[:, None].expand_as(negatives), negatives).any()


def test_pairs_without_negatives_draw_none(data):
    generator = seeded()
    first = next(iter(loader(data, Pairs(negatives=0), 8, generator, negatives=generator)))
    assert first.negatives is None


def test_users_come_once_with_their_items(data):
    batches = list(loader(data, Users(), 5, seeded()))
    users = torch.cat([b.users for b in batches])
    assert users.sort().values.tolist() == [u for u in range(13) if u != 5]
    for batch in batches:
        for u, items in zip(batch.users.tolist(), torch.split(batch.items, batch.length.tolist()), strict=True):
            assert torch.equal(items.sort().values, data.train.item[data.train.user == u].sort().values)


SAMPLINGS = [
    Pairs(2),
    Pairs(2, popularity=0.75),
    Users(),
    Sequences("all", 4),
    Sequences("windows", 3),
    Sequences("last"),
    Sequences("prefix"),
]


def equal(a, b):
    pairs = [(getattr(a, n), getattr(b, n)) for n in a.__dataclass_fields__]
    return all((x is None and y is None) or torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_epochs_are_reproducible_and_differ(data, sampling):
    first, second = loader(data, sampling, 4, seeded()), loader(data, sampling, 4, seeded())
    a, b = list(first), list(second)
    assert all(equal(x, y) for x, y in zip(a, b, strict=True))
    assert not all(equal(x, y) for x, y in zip(a, first, strict=True))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_epoch_continues_from_the_state_of_its_beginning(data, sampling):
    order, negatives = seeded(1), seeded(2)
    made = loader(data, sampling, 4, order, negatives=negatives)
    list(made)
    states = order.get_state(), negatives.get_state()
    whole = list(made)
    after = order.get_state(), negatives.get_state()
    order.set_state(states[0])
    negatives.set_state(states[1])
    rest = list(made.epoch(2))
    assert len(rest) == len(whole) - 2
    assert all(equal(x, y) for x, y in zip(whole[2:], rest, strict=True))
    assert torch.equal(order.get_state(), after[0]) and torch.equal(negatives.get_state(), after[1])


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_taking_batches_draws_nothing(data, sampling):
    generator = seeded()
    batches = loader(data, sampling, 4, generator).epoch()
    state = generator.get_state()
    list(batches)
    assert torch.equal(generator.get_state(), state)


def test_negatives_have_a_generator_of_their_own(data):
    a = list(loader(data, Pairs(), 8, seeded(), negatives=seeded(1)))
    b = list(loader(data, Pairs(), 8, seeded(), negatives=seeded(2)))
    assert all(torch.equal(x.users, y.users) and torch.equal(x.items, y.items) for x, y in zip(a, b, strict=True))
    assert any(not torch.equal(x.negatives, y.negatives) for x, y in zip(a, b, strict=True))


def test_batches_lie_on_the_device_that_is_asked_for(data):
    batch = next(iter(loader(data, Pairs(), 8, seeded(), device="cpu")))
    assert batch.users.device.type == "cpu"
    with pytest.raises(ValueError, match=r"start must lie in \[0, \d+\], got 100"):
        loader(data, Pairs(), 8, seeded()).epoch(100)


@pytest.mark.parametrize(
    ("sampling", "size", "text"),
    [
        (Pairs(), 0, "batch_size must be at least 1, got 0"),
        (Pairs(-1), 4, "negatives must be at least 0, got -1"),
        (Pairs(1, -0.5), 4, "popularity must be at least 0, got -0.5"),
        (Sequences(max_length=0), 4, "max_length must be at least 1, got 0"),
        (Sequences(targets="next"), 4, "targets must be 'all', 'windows', 'last' or 'prefix', got 'next'"),
    ],
)
def test_what_cannot_be_is_an_error(data, sampling, size, text):
    with pytest.raises(InputError, match=text):
        loader(data, sampling, size, seeded())


def test_an_empty_train_part_is_an_error():
    nothing = torch.zeros(0, dtype=torch.int64)
    with pytest.raises(InputError, match="train of 'made' has no interactions"):
        loader(dataset(nothing, nothing, 2, 2), Pairs(), 4, seeded())


def test_sequences_need_time():
    with pytest.raises(InputError, match="sequences need the order of interactions, and 'made' has no time column"):
        loader(dataset([0, 0], [0, 1], 1, 2, time=False), Sequences(), 4, seeded())


def test_sequences_need_a_user_with_two_items():
    with pytest.raises(InputError, match="sequences need a user with at least 2 train items"):
        loader(dataset([0, 1], [0, 1], 2, 2), Sequences(), 4, seeded())


def histories(data):
    rows = {u: data.train.history.take(torch.tensor([u]))[1].tolist() for u in range(data.num_users)}
    return {u: items for u, items in rows.items() if items}


def rows_of(batches):
    """(user, input items, target) of every row, whatever the batch."""
    for batch in batches:
        assert batch.history.shape == (len(batch), int(batch.length.max()))
        beyond = torch.arange(batch.history.shape[1]) >= batch.length[:, None]
        assert bool((batch.history[beyond] == 0).all())
        if batch.targets.dim() == 2:
            assert bool((batch.targets[beyond] == -1).all())
        else:
            assert torch.equal(batch.targets, batch.items)
        for r, (u, n) in enumerate(zip(batch.users.tolist(), batch.length.tolist(), strict=True)):
            target = batch.targets[r]
            target = target[:n].tolist() if target.dim() else int(target)
            yield u, batch.history[r, :n].tolist(), target, int(batch.items[r])


def test_all_targets_are_the_next_items_and_only_the_latest_are_read(data):
    seen = {u: row for u, *row in rows_of(loader(data, Sequences("all", 3), 4, seeded()))}
    expected = {u: [h[-4:-1], h[-3:], h[-1]] for u, h in histories(data).items() if len(h) > 1}
    for u, h in histories(data).items():
        if 1 < len(h) < 4:
            expected[u] = [h[:-1], h[1:], h[-1]]
    assert seen == expected
    assert any(len(h) > 4 for h in histories(data).values())  # the earliest items of a long history are in no row


def test_last_target_alone(data):
    seen = {u: row for u, *row in rows_of(loader(data, Sequences("last", 50), 4, seeded()))}
    assert seen == {u: [h[:-1], h[-1], h[-1]] for u, h in histories(data).items() if len(h) > 1}


@pytest.mark.parametrize("length", [1, 3, 50])
def test_windows_make_every_item_but_the_first_a_target_once(data, length):
    seen = list[tuple[int, int]]()
    for batch in loader(data, Sequences("windows", length), 4, seeded()):
        valid = batch.targets >= 0
        assert int(batch.length.max()) <= length and torch.equal(valid.sum(1), batch.length)
        owner = batch.users[:, None].expand_as(valid)[valid]
        seen += zip(owner.tolist(), batch.targets[valid].tolist(), strict=True)
        after = batch.targets.gather(1, (batch.length - 1)[:, None])[:, 0]
        assert torch.equal(after, batch.items)
    rows = data.train.history
    expected = [(u, i) for u in range(data.num_users) for i in rows.take(torch.tensor([u]))[1][1:].tolist()]
    assert sorted(seen) == sorted(expected)


def test_prefixes_cover_long_histories(data):
    seen = sorted((u, h, t) for u, h, t, _ in rows_of(loader(data, Sequences("prefix", 2), 4, seeded())))
    expected = sorted((u, h[max(0, t - 2) : t], h[t]) for u, h in histories(data).items() for t in range(1, len(h)))
    assert seen == expected


def test_rows_are_bucketed_by_length(rng):
    user = torch.repeat_interleave(torch.arange(300), torch.randint(2, 12, (300,), generator=rng))
    item = torch.cat([torch.randperm(20, generator=rng)[: int(n)] for n in torch.bincount(user)])
    batches = list(loader(dataset(user, item, 300, 20), Sequences("all", 20), 16, seeded()))
    assert sum(b.history.numel() for b in batches) <= 1.1 * sum(int(b.length.sum()) for b in batches)
    widths = [b.history.shape[1] for b in batches]
    assert any(a > b for a, b in pairwise(widths)) and any(a < b for a, b in pairwise(widths))


def test_one_batch_may_hold_all(data):
    assert [len(b) for b in loader(data, Pairs(), 10_000, seeded())] == [len(data.train)]
    assert len(loader(replace(data, name="other"), Users(), 1, seeded())) == 12
