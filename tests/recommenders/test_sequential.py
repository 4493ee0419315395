"""SASRec and GRU4Rec: the contract, the losses against their formulas, bad input."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from gcl.data import Batch, Query, Split, TrainInteractions, loader, query
from gcl.errors import InputError
from gcl.recommenders.sequential.gru4rec import GRU4Rec
from gcl.recommenders.sequential.next_item import NextItem, dot_products
from gcl.recommenders.sequential.sasrec import SASRec
from gcl.testing import check_recommender, tiny_dataset


def sasrec(data, **arguments):
    return SASRec(data, dim=8, inner=16, dropout=0.1, **arguments)


def with_train(user, item, time, users=3, items=5):
    """A data set of these train rows and nothing else."""
    data = tiny_dataset(users, items)
    train = TrainInteractions(torch.tensor(user), torch.tensor(item), users, items, torch.tensor(time))
    nothing = data.test.select(torch.zeros(0, dtype=torch.int64))
    return replace(data, split=Split(train, nothing, nothing))


@pytest.mark.parametrize(
    "build",
    [
        sasrec,
        lambda data: sasrec(data, loss="sampled", negatives=8, popularity=0.5),
        lambda data: sasrec(data, loss="bce", negatives=1, norm="pre"),
        lambda data: sasrec(data, loss="gbce", negatives=4, positions="rotary"),
        lambda data: sasrec(data, targets="prefix", padding="left", max_length=4),
        lambda data: sasrec(data, targets="last"),
        lambda data: sasrec(data, targets="windows", max_length=3),
        lambda data: GRU4Rec(data, dim=8, hidden=8),
        lambda data: GRU4Rec(data, dim=8, hidden=6, layers=2, loss="sampled", negatives=4, targets="prefix"),
    ],
)
def test_sequential_recommender_holds_its_contract(build):
    check_recommender(build)


def problem(loss, **arguments):
    data = tiny_dataset()
    generator = torch.Generator().manual_seed(0)
    states, items = torch.randn(7, 4, generator=generator), torch.randn(18, 4, generator=generator)
    targets, users = data.train.item[:7], data.train.user[:7]
    part = NextItem(data, loss, **arguments)
    catalogue = SimpleNamespace(items=lambda: items, look_up=lambda ids: F.embedding(ids, items))
    found = part(states, catalogue, targets, users, torch.Generator().manual_seed(1))
    return data, part, found, states @ items.T, targets, users


def test_softmax_is_the_cross_entropy():
    _, _, found, scores, targets, _ = problem("softmax")
    torch.testing.assert_close(found, F.cross_entropy(scores, targets))


def test_sampled_softmax_takes_off_log_q_and_hides_the_target():
    data, part, found, scores, targets, _ = problem("sampled", negatives=5, popularity=0.5)
    degree = data.train.by_item.counts.float().sqrt()
    log_q = (degree / degree.sum()).log()
    drawn = torch.multinomial(part.weight, 5, replacement=True, generator=torch.Generator().manual_seed(1))
    expected = []
    for row, target in enumerate(targets.tolist()):
        others = [scores[row, j] - log_q[j] for j in drawn.tolist() if j != target]
        own = scores[row, target] - log_q[target]
        expected.append(torch.stack([own, *others]).logsumexp(0) - own)
    torch.testing.assert_close(found, torch.stack(expected).mean())


@pytest.mark.parametrize(("count", "popularity"), [(5, 0.5), (60, 0.5), (5, 0.0)])
def test_sampled_softmax_with_negatives_of_each_targets_own(count, popularity):
    data, part, found, scores, targets, _ = problem("sampled", negatives=count, popularity=popularity, shared=False)
    degree = data.train.by_item.counts.float() ** popularity
    logits = scores - (degree / degree.sum()).log()
    generator = torch.Generator().manual_seed(1)
    if popularity:
        drawn = torch.multinomial(part.weight, 7 * count, replacement=True, generator=generator)
    else:
        drawn = torch.randint(18, (7 * count,), generator=generator)
    expected = []
    for row, (target, own) in enumerate(zip(targets.tolist(), drawn.view(7, count).tolist(), strict=True)):
        others = [logits[row, j] for j in own if j != target]
        expected.append(torch.stack([logits[row, target], *others]).logsumexp(0) - logits[row, target])
    torch.testing.assert_close(found, torch.stack(expected).mean())


def test_a_target_that_is_all_of_its_negatives_costs_nothing():
    _, part, _, _, targets, users = problem("sampled", negatives=1, popularity=0.5, shared=False)
    part.weight.zero_()[targets[0]] = 1.0
    part.weight += 1e-30
    states = torch.randn(1, 4, requires_grad=True)
    items = torch.randn(18, 4)
    catalogue = SimpleNamespace(items=lambda: items, look_up=lambda ids: F.embedding(ids, items))
    loss = part(states, catalogue, targets[:1], users[:1], torch.Generator())
    (gradient,) = torch.autograd.grad(loss, states)
    assert loss.item() == 0.0 and bool((gradient == 0).all())


def test_bce_draws_no_train_item():
    data, part, found, scores, targets, users = problem("bce", negatives=6)
    drawn = part.ranks.draw(users, 6, torch.Generator().manual_seed(1))
    assert not data.train.contains(users[:, None].expand_as(drawn), drawn).any()
    positive, negative = scores.gather(1, targets[:, None])[:, 0], scores.gather(1, drawn)
    torch.testing.assert_close(found, (F.softplus(-positive) + F.softplus(negative).mean(1)).mean())


@pytest.mark.parametrize("shape", [(6, 1), (6, 8), (6, 40), (1, 3), (0, 3), (0, 40)])
def test_dot_products_are_the_formula_in_value_and_gradient(shape):
    x = torch.randn(shape[0], 4, dtype=torch.float64, requires_grad=True)
    y = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    columns = torch.randint(9, shape, generator=torch.Generator().manual_seed(0))
    found, expected = dot_products(x, y, columns), (x[:, None] * y[columns]).sum(2)
    torch.testing.assert_close(found, expected)
    weight = torch.randn(shape, dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((s * weight).sum(), (x, y)) for s in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_positions_without_a_target_are_left_out():
    model, seen = sasrec(tiny_dataset()), []
    model.next_item.forward = lambda states, catalogue, targets, users, generator: seen.append((states, targets, users))
    model.eval()
    history, length = torch.tensor([[3, 1, 2], [4, 5, 0], [6, 0, 0]]), torch.tensor([3, 2, 1])
    targets = torch.tensor([[-1, 2, 7], [-1, 8, -1], [-1, -1, -1]])
    model.predict(Batch(torch.tensor([9, 4, 5]), torch.zeros(3).long(), None, history, length, targets))
    ((states, found, users),) = seen
    everywhere = model.encoder(history, length)
    torch.testing.assert_close(states, everywhere[[0, 0, 1], [1, 2, 1]])
    assert found.tolist() == [2, 7, 8] and users.tolist() == [9, 9, 4]


@pytest.mark.parametrize("targets", ["all", "windows", "prefix", "last"])
def test_every_target_comes_with_its_own_user(targets):
    data = tiny_dataset()
    model, seen = sasrec(data, loss="bce", negatives=2, targets=targets, max_length=3), []
    real = model.next_item._drawn
    model.next_item._drawn = lambda items, users, generator: (
        seen.append((users, items)) or real(items, users, generator)
    )
    model.losses(next(iter(loader(data, model.sampling, 64, torch.Generator()))))
    ((users, items),) = seen
    assert len(set(users.tolist())) > 1 and bool(data.train.contains(users, items).all())


@pytest.mark.parametrize("t", [0.0, 0.75, 1.0])
def test_gbce_raises_the_positive_to_beta(t):
    _, _, found, scores, targets, _ = problem("gbce", negatives=6, calibration=t)
    drawn = torch.randint(18, (7, 6), generator=torch.Generator().manual_seed(1))
    share = 6 / 17
    beta = share * (t * (1 - 1 / share) + 1 / share)
    positive, negative = scores.gather(1, targets[:, None])[:, 0], scores.gather(1, drawn)
    expected = -(beta * F.logsigmoid(positive) + F.logsigmoid(-negative).sum(1)) / 7
    torch.testing.assert_close(found, expected.mean())


def test_users_with_one_train_item_are_in_no_batch_and_are_answered():
    data = with_train([0, 0, 0, 1], [0, 1, 2, 3], [0, 1, 2, 3])
    model = sasrec(data).eval()
    batches = list(loader(data, model.sampling, 4, torch.Generator()))
    assert torch.cat([b.users for b in batches]).tolist() == [0]
    scores = model.scores(query(data, torch.arange(3), "valid"))
    assert bool(torch.isfinite(scores).all()) and bool((scores[2] == 0).all()) and bool((scores[1] != 0).any())


def test_no_sequence_of_two_is_an_error():
    data = with_train([0, 1, 2], [0, 1, 2], [0, 1, 2])
    with pytest.raises(InputError, match="sequences need a user with at least 2 train items, and there is none"):
        loader(data, sasrec(data).sampling, 4, torch.Generator())


def test_equal_times_keep_the_order_of_rows():
    data = with_train([0, 0, 0, 0], [3, 1, 2, 0], [7, 7, 7, 1])
    assert query(data, torch.tensor([0]), "valid").history.tolist() == [[0, 3, 1, 2]]


def test_histories_over_the_limit_are_read_from_the_end():
    model = sasrec(tiny_dataset(), max_length=3).eval()
    long, short = torch.tensor([[9, 8, 1, 2, 3]]), torch.tensor([[1, 2, 3]])
    scores = [model.scores(Query(history=h, length=torch.tensor([h.shape[1]]))) for h in (long, short)]
    assert torch.equal(*scores)


def test_items_never_in_train_can_be_asked_about():
    data = with_train([0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 2, 3])
    model = sasrec(data, loss="sampled", negatives=3, popularity=1.0)
    assert bool(torch.isfinite(model.losses(next(iter(loader(data, model.sampling, 4, torch.Generator()))))["next"]))
    assert bool(torch.isfinite(model.eval().scores(Query(history=torch.tensor([[4]]), length=torch.tensor([1])))).all())


def test_a_set_without_time_is_an_error():
    with pytest.raises(InputError, match="SASRec needs the order of interactions, and 'tiny' has no time column"):
        sasrec(tiny_dataset(time=False))


def test_bad_queries_are_named():
    model = sasrec(tiny_dataset()).eval()
    with pytest.raises(InputError, match="SASRec reads histories, and the query has users alone"):
        model.scores(Query(users=torch.tensor([0])))
    with pytest.raises(InputError, match=r"items of a history must lie in \[0, 18\)"):
        model.scores(Query(history=torch.tensor([[18]]), length=torch.tensor([1])))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "hinge"}, "loss must be 'softmax', 'sampled', 'bce' or 'gbce', got 'hinge'"),
        ({"targets": "first"}, "targets must be 'all', 'windows', 'last' or 'prefix', got 'first'"),
        ({"modalities": ["text", "text"]}, r"modalities of SASRec must be named once each, got \['text', 'text'\]"),
        ({"negatives": 0}, "negatives must be at least 1, got 0"),
        ({"popularity": -1.0}, "popularity must not be negative, got -1.0"),
        ({"shared": False}, "shared is read by loss='sampled' alone, got False with loss='softmax'"),
        ({"popularity": 0.5, "loss": "bce"}, "popularity is read by loss='sampled' alone, got 0.5 with loss='bce'"),
        ({"calibration": 1.5}, r"calibration must lie in \[0, 1\], got 1.5"),
    ],
)
def test_bad_arguments_of_losses_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        sasrec(tiny_dataset(), **arguments)


@pytest.mark.parametrize("loss", ["softmax", "sampled", "bce", "gbce"])
def test_losses_are_float32_under_autocast(loss):
    data = tiny_dataset()
    torch.manual_seed(0)
    model = sasrec(data, loss=loss, negatives=4, modalities=("text",)).eval()
    batch = next(iter(loader(data, model.sampling, 16, torch.Generator())))
    model.generator = torch.Generator().manual_seed(0)
    exact = model.losses(batch)["next"]
    model.generator.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        found = model.losses(batch)["next"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("arguments", [{}, {"positions": "rotary", "norm": "pre"}, {"targets": "last"}])
def test_training_steps_run_under_autocast(arguments):
    data = tiny_dataset()
    model = sasrec(data, **arguments)
    batch = next(iter(loader(data, model.sampling, 16, torch.Generator())))
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.losses(batch)["next"]
    loss.backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters())
