"""CL4SRec and DuoRec: the contract and what they contrast."""

from dataclasses import replace

import pytest
import torch

from gcl.data import Split, TrainInteractions, loader
from gcl.errors import InputError
from gcl.losses import BPR, InfoNCE
from gcl.recommenders.sequential.cl4srec import CL4SRec
from gcl.recommenders.sequential.duorec import DuoRec, SameTarget
from gcl.testing import check_recommender, tiny_dataset
from gcl.views import Crop, Insert, Mask, Reorder, Substitute

SMALL = {"dim": 8, "inner": 16, "dropout": 0.1}


@pytest.mark.parametrize(
    "build",
    [
        lambda data: CL4SRec(data, **SMALL),
        lambda data: CL4SRec(data, **SMALL, views=[Crop(), Mask(), Reorder(), Substitute(), Insert()], loss="sampled"),
        lambda data: CL4SRec(data, **SMALL, views=[[Insert(), Mask()]], targets="prefix", objective=InfoNCE()),
        lambda data: DuoRec(data, **SMALL),
        lambda data: DuoRec(data, **SMALL, mode="both", distinct=True),
        lambda data: DuoRec(data, **SMALL, mode="dropout", targets="all"),
        lambda data: DuoRec(data, **SMALL, mode="target", targets="windows", max_length=3),
    ],
)
def test_recommender_holds_its_contract(build):
    check_recommender(build)


def test_positives_have_the_same_target():
    data = tiny_dataset()
    same, seen = SameTarget(data, 50), set()
    for user in range(data.num_users):
        row = data.train.history.take(torch.tensor([user]))[1].tolist()
        seen |= {(tuple(row[:n]), row[n]) for n in range(1, len(row))}
    targets = torch.tensor(sorted({target for _, target in seen}))
    users = torch.zeros_like(targets).repeat(20)
    items, length = same(users, targets.repeat(20), torch.Generator().manual_seed(0))
    for row, n, target in zip(items.tolist(), length.tolist(), targets.repeat(20).tolist(), strict=True):
        assert (tuple(row[:n]), target) in seen


def test_positives_are_of_other_users_where_there_are_some():
    data = tiny_dataset()
    same, prefixes = SameTarget(data, 50), {}
    for user in range(data.num_users):
        row = data.train.history.take(torch.tensor([user]))[1].tolist()
        for n in range(1, len(row)):
            prefixes.setdefault(row[n], {})[user] = tuple(row[:n])
    alone = 0
    for target, of in prefixes.items():
        for user, own in of.items():
            draws = torch.full((200,), user), torch.full((200,), target)
            items, length = same(*draws, torch.Generator().manual_seed(user))
            found = {tuple(row[:n]) for row, n in zip(items.tolist(), length.tolist(), strict=True)}
            assert found == ({p for u, p in of.items() if u != user} or {own})
            alone += len(of) == 1
    assert alone < len(prefixes)


def test_a_target_of_one_prefix_has_that_one():
    interactions = TrainInteractions(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 2]), 2, 3, torch.arange(4))
    nothing = tiny_dataset(2, 3).test.select(torch.zeros(0, dtype=torch.int64))
    data = replace(tiny_dataset(2, 3), split=Split(interactions, nothing, nothing))
    items, length = SameTarget(data, 50)(torch.tensor([0, 1]), torch.tensor([1, 2]))
    assert items.tolist() == [[0], [1]] and length.tolist() == [1, 1]


def test_contrast_of_a_batch_of_one_is_zero():
    model = CL4SRec(tiny_dataset(), **SMALL)
    batch = next(iter(loader(tiny_dataset(), model.sampling, 1, torch.Generator().manual_seed(0))))
    terms = model.losses(batch)
    assert terms["contrast"].item() == 0 and bool(torch.isfinite(terms["next"]))


def test_no_view_changes_what_the_main_loss_reads():
    data = tiny_dataset()
    model = CL4SRec(data, **SMALL)
    batch = next(iter(loader(data, model.sampling, 64, torch.Generator().manual_seed(0))))
    before = batch.history.clone()
    model.losses(batch)
    assert torch.equal(batch.history, before)


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="weight of CL4SRec must not be negative, got -1"):
        CL4SRec(tiny_dataset(), weight=-1)
    with pytest.raises(InputError, match="mode must be 'dropout', 'target', 'both' or 'across', got 'un'"):
        DuoRec(tiny_dataset(), mode="un")
    with pytest.raises(InputError, match="objective of DuoRec must be of kind pair, got BPR of kind ranking"):
        DuoRec(tiny_dataset(), objective=BPR())


def test_looks_side_by_side_are_encoded_as_if_alone():
    data = tiny_dataset()
    model = CL4SRec(data, **SMALL).eval()
    batch = next(iter(loader(data, model.sampling, 64, torch.Generator().manual_seed(0))))
    short = batch.history[:, :2], batch.length.clamp(max=2)
    for found, look in zip(model.ends((batch.history, batch.length), short), ((batch.history, batch.length), short),
                           strict=True):  # fmt: skip
        torch.testing.assert_close(found, model.encoder.last(*look))


@pytest.mark.parametrize("targets", ["all", "windows", "prefix", "last"])
def test_one_pass_gives_what_predicts_and_the_vectors_of_histories(targets):
    data = tiny_dataset()
    model = DuoRec(data, **SMALL, targets=targets, max_length=3).eval()
    batch = next(iter(loader(data, model.sampling, 64, torch.Generator().manual_seed(0))))
    states, vectors = model.encode(batch)
    torch.testing.assert_close(vectors, model.encoder.last(batch.history, batch.length))
    assert len(states) == (int(batch.length.sum()) if batch.targets.dim() == 2 else len(batch))


@pytest.mark.parametrize("mode", ["dropout", "target", "both", "across"])
def test_modes_contrast_what_they_say(mode):
    data = tiny_dataset()
    model = DuoRec(data, dim=8, inner=16, dropout=0.0, mode=mode, weight=1.0)
    batch = next(iter(loader(data, model.sampling, 16, torch.Generator().manual_seed(0))))
    model.generator = torch.Generator().manual_seed(5)
    found = model.losses(batch)["contrast"]
    h = model.encoder.last(batch.history, batch.length)
    s = model.encoder.last(*model.same(batch.users, batch.items, torch.Generator().manual_seed(5)))
    same, other = model.objective(h, h), model.objective(h, s)
    torch.testing.assert_close(found, {"dropout": same, "both": same + other}.get(mode, other))


def test_terms_are_weighted_and_distinct_targets_are_no_negatives():
    data = tiny_dataset()
    for distinct in (False, True):
        model = DuoRec(data, dim=8, inner=16, dropout=0.0, mode="dropout", weight=0.3, distinct=distinct)
        batch = next(iter(loader(data, model.sampling, 64, torch.Generator().manual_seed(0))))
        assert len(set(batch.items.tolist())) < len(batch)
        h = model.encoder.last(batch.history, batch.length)
        expected = model.objective(h, h, batch.items if distinct else None)
        torch.testing.assert_close(model.losses(batch)["contrast"], 0.3 * expected)
    model = CL4SRec(data, dim=8, inner=16, dropout=0.0, views=[Reorder(0.0)], weight=0.3)
    batch = next(iter(loader(data, model.sampling, 64, torch.Generator().manual_seed(0))))
    h = model.encoder.last(batch.history, batch.length)
    torch.testing.assert_close(model.losses(batch)["contrast"], 0.3 * model.objective(h, h))


def test_what_predicts_is_contrasted_but_across():
    data = tiny_dataset()
    for mode, shared in (("dropout", True), ("target", True), ("both", True), ("across", False)):
        model = DuoRec(data, **SMALL, mode=mode)
        batch = next(iter(loader(data, model.sampling, 16, torch.Generator().manual_seed(0))))
        vectors = model.encode(batch)[1].detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model.contrast(vectors, batch), vectors, allow_unused=True)
        assert (gradient is not None) == shared, mode
