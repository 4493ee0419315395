"""Views of sequences against their definitions."""

import pytest
import torch

from gcl.data import TrainInteractions
from gcl.recommenders.sequential.looks import SequenceLooks
from gcl.testing import tiny_dataset
from gcl.views import Crop, Insert, Mask, Noise, Reorder, Substitute
from gcl.views.sequence import MASKED, most_similar

VIEWS = [Crop(0.6), Mask(0.3), Reorder(0.6), Substitute(0.1), Insert(0.4), Crop(0.0), Mask(1.0), Reorder(1.0)]


def sequences(rows=300, width=12, items=18):
    generator = torch.Generator().manual_seed(0)
    length = torch.randint(1, width + 1, (rows,), generator=generator)
    drawn = torch.randint(items, (rows, width), generator=generator)
    return drawn.masked_fill(torch.arange(width) >= length[:, None], 0), length


def trimmed(items, length):
    return [row[:n] for row, n in zip(items.tolist(), length.tolist(), strict=True)]


def run(view, seed=1):
    view.allocate(tiny_dataset().train)
    return view(*sequences(), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("view", VIEWS, ids=lambda v: f"{type(v).__name__}-{v.ratio}")
def test_every_view_keeps_the_contract(view):
    items, length = sequences()
    before = items.clone()
    view.allocate(tiny_dataset().train)
    made, left = view(items, length, torch.Generator().manual_seed(1))
    assert torch.equal(items, before), "a view must not change what it is given"
    assert bool((left >= 1).all()) and int(left.max()) <= made.shape[1]
    assert bool((made[torch.arange(made.shape[1]) >= left[:, None]] == 0).all()), "padding must be 0"
    again, _ = run(view)
    assert torch.equal(made, again), "equal generators must give equal views"
    rebuilt, _ = run(type(view)(**view.arguments))
    assert torch.equal(made, rebuilt)


def test_crop_keeps_a_block():
    for row, part in zip(trimmed(*sequences()), trimmed(*run(Crop(0.6))), strict=True):
        assert len(part) == max(1, int(0.6 * len(row) + 1e-6))
        assert any(row[at : at + len(part)] == part for at in range(len(row)))


def test_crop_begins_everywhere():
    items = torch.arange(10).expand(2000, 10)
    made, _ = Crop(0.6)(items, torch.full((2000,), 10), torch.Generator().manual_seed(0))
    counts = torch.bincount(made[:, 0], minlength=5)
    assert counts.numel() == 5 and int(counts.min()) > 320


def test_mask_hides_a_share():
    for row, part in zip(trimmed(*sequences()), trimmed(*run(Mask(0.3))), strict=True):
        assert sum(a == MASKED for a in part) == int(0.3 * len(row) + 1e-6)
        assert all(b in (a, MASKED) for a, b in zip(row, part, strict=True))


def test_reorder_shuffles_one_block():
    for row, part in zip(trimmed(*sequences()), trimmed(*run(Reorder(0.6))), strict=True):
        assert sorted(row) == sorted(part)
        changed = [at for at, (a, b) in enumerate(zip(row, part, strict=True)) if a != b]
        assert not changed or changed[-1] - changed[0] < int(0.6 * len(row) + 1e-6)


def test_substitute_and_insert_use_the_most_similar_item():
    similar = most_similar(tiny_dataset().train).tolist()
    for row, part in zip(trimmed(*sequences()), trimmed(*run(Substitute(0.3))), strict=True):
        changed = [(a, b) for a, b in zip(row, part, strict=True) if a != b]
        assert len(changed) <= max(1, int(0.3 * len(row) + 1e-6)) and all(b == similar[a] for a, b in changed)
    for row, part in zip(trimmed(*sequences()), trimmed(*run(Insert(0.4))), strict=True):
        assert len(part) == len(row) + max(1, int(0.4 * len(row) + 1e-6))
        rest, added = list(part), 0
        for item in row:
            if rest[0] != item or (len(rest) > 1 and rest[1] == item and rest[0] == similar[item]):
                assert rest.pop(0) == similar[item]
                added += 1
            assert rest.pop(0) == item
        assert not rest and added == len(part) - len(row)


def test_similarity_is_item_cf_with_active_users_counting_less():
    train = tiny_dataset().train
    dense = torch.zeros(24, 18, dtype=torch.float64)
    dense[train.user, train.item] = 1
    product = dense.T @ (dense / torch.log1p(dense.sum(1, keepdim=True)))
    product = product / (dense.sum(0)[:, None] * dense.sum(0)).sqrt()
    product.fill_diagonal_(0)
    best = most_similar(train)
    torch.testing.assert_close(product[torch.arange(18), best], product.max(1).values)


def test_an_item_alone_goes_with_itself():
    train = TrainInteractions(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2]), 2, 4)
    assert most_similar(train).tolist() == [1, 0, 2, 3]


def test_two_looks_are_by_different_entries():
    data = tiny_dataset()
    looks = SequenceLooks([Mask(1.0), Reorder(0.0), [Crop(0.5), Substitute(0.0)]], data.train)
    items, length = torch.arange(1, 9).expand(400, 8), torch.full((400,), 8)
    kinds = []
    for look, size in looks(items, length, torch.Generator().manual_seed(0)):
        kinds.append(torch.where(look[:, 0] == MASKED, 0, torch.where(size == 8, 1, 2)))
    assert bool((kinds[0] != kinds[1]).all())
    assert len(set(zip(kinds[0].tolist(), kinds[1].tolist(), strict=True))) == 6


def test_a_single_entry_is_drawn_twice():
    looks = SequenceLooks([Reorder(1.0)], tiny_dataset().train)
    (first, _), (second, _) = looks(*sequences(), torch.Generator().manual_seed(0))
    assert not torch.equal(first, second)


def test_bad_views_are_named():
    with pytest.raises(ValueError, match=r"ratio must lie in \[0, 1\], got 1.5"):
        Crop(1.5)
    with pytest.raises(ValueError, match="views must be of SequenceView here, got Noise"):
        SequenceLooks([Noise()], tiny_dataset().train)
    with pytest.raises(ValueError, match="views must have at least one entry, got none"):
        SequenceLooks([], tiny_dataset().train)
