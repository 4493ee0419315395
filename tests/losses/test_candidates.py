"""Candidates beside the batch: queues, mixtures, noise, in any composed objective."""

import pytest
import torch

from gcl.errors import InputError
from gcl.losses import DCLR, Contrast, FeatureTransform, HardNegative, MoCo, NTXent
from gcl.losses.slots import Interpolated, Noise, Queue
from gcl.testing import check_objective
from tests.losses.reference import cosines, info_nce_row, mean, queue_of, same

KERNELS = [
    "all", "negatives", "reweighted", {"name": "debiased", "tau_plus": 0.1}, {"name": "pair_rank", "pool": "hardest"},
    {"name": "pair_rank", "pool": "mean"}, {"name": "pair_rank", "pool": "lse"}, "pointwise", "energy",
    {"name": "energy", "repulsion": "softmax"}, {"name": "energy", "repulsion": "mean"},
]  # fmt: skip
WEIGHTINGS = [None, {"name": "hardness", "beta": 0.7}, {"name": "below", "ceiling": 0.5}, "below_positive", "hardest"]
IDS = torch.tensor([4, 1, 1, 0, 7, 5, 9, 2, 3])
FAR = torch.tensor([0, 6, 7, -1, -1, 12])


def built(**slots):
    """A composed objective with six past rows in its queue, not training."""
    loss = Contrast(candidates=Queue(6), **slots).build(20, 5).double().eval()
    queue_of(loss).push(torch.randn(6, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64), FAR)
    return loss, queue_of(loss).stored()[0]


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=str)
@pytest.mark.parametrize("similarity", ["cosine", "square_euclidean", "euclidean"])
def test_the_direction_back_is_the_direction_there_of_swapped_views(kernel, weighting, similarity, views, streamed):
    """Also where features of anchors and of candidates differ; further rows of z2 are of the anchors' view."""
    slots = {"kernel": kernel, "weighting": weighting, "similarity": similarity, "negatives": "both"}
    back, there = (Contrast(**slots, temperature=0.5, forward=f) for f in (0.0, 1.0))
    a, b = views[0][:6], views[1]
    for ids in (None, IDS):
        same(
            lambda x, y: back(x, y, ids),  # noqa: B023
            lambda x, y: there(y[:6], torch.cat([x, y[6:]]), ids),  # noqa: B023
            a, b, rtol=1e-7, atol=1e-8,
        )  # fmt: skip


def averaged(rows):
    """Mean over the rows that count, 0 where none does."""
    rows = torch.cat(rows)
    return rows.sum() / max(len(rows), 1)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=str)
@pytest.mark.parametrize("negatives", ["cross", "both", "none"])
def test_a_queue_is_further_rows_of_z2(kernel, weighting, negatives, views, streamed):
    slots = {"kernel": kernel, "weighting": weighting, "negatives": negatives, "forward": 0.7}
    loss, far = built(**slots)
    plain = Contrast(**slots)
    for ids in (None, IDS):
        more = None if ids is None else torch.cat([ids, FAR])
        same(lambda a, b: loss(a, b, ids), lambda a, b: plain(a, torch.cat([b, far]), more), *views[:2])  # noqa: B023


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=str)
@pytest.mark.parametrize("similarity", ["cosine", "square_euclidean"])
def test_none_of_the_batch_is_a_batch_of_one(kernel, weighting, similarity, views, streamed):
    """A row sees the queue alone: as a row by itself whose other view has the queue behind it."""
    slots = {"kernel": kernel, "weighting": weighting, "similarity": similarity, "temperature": 0.5}
    loss, far = built(negatives="none", **slots)
    alone = Contrast(negatives="cross", **slots)

    def one(a, b, i):
        shown = far if i is None else far[IDS[i] != FAR]
        return alone.rows(a, torch.cat([b, shown]))

    def naive(a, b, hide):
        return averaged([one(a[i : i + 1], b[i : i + 1], i if hide else None) for i in range(9)])

    same(loss, lambda a, b: naive(a, b, False), *views[:2])
    same(lambda a, b: loss(a, b, IDS), lambda a, b: naive(a, b, True), *views[:2])
    back, _ = built(negatives="none", forward=0.0, **slots)
    same(lambda a, b: back(a, b, IDS), lambda a, b: naive(b, a, True), *views[:2])


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=str)
def test_an_empty_queue_is_a_row_without_negatives(kernel, weighting, views, streamed):
    loss = Contrast(candidates=Queue(6), negatives="none", kernel=kernel, weighting=weighting, forward=0.5)
    loss = loss.build(20, 5).double()
    alone = Contrast(kernel=kernel, weighting=weighting, forward=0.5)
    same(loss.eval(), lambda a, b: averaged([alone.rows(a[i : i + 1], b[i : i + 1]) for i in range(9)]), *views[:2])


def test_the_queue_is_read_before_it_is_written(views):
    loss = Contrast(temperature=0.3, candidates={"name": "queue", "size": 9}).build(20, 5).double()
    plain = Contrast(temperature=0.3)
    torch.testing.assert_close(loss(*views[:2]), plain(*views[:2]))
    torch.testing.assert_close(loss(views[0], views[2]), plain(views[0], torch.cat([views[2], views[1]])))


def test_any_objective_of_the_pipeline_takes_one(views):
    """Hard negatives out of a queue: a combination that no paper has a name for."""
    loss = HardNegative(0.5, beta=0.0, tau_plus=0.0)
    loss.candidates = Queue(6)
    loss = loss.build(20, 5).double().eval()
    torch.testing.assert_close(loss(*views[:2]), NTXent(0.5)(*views[:2]))
    queue_of(loss).push(views[2][:6])
    torch.testing.assert_close(loss(*views[:2]), Contrast(
        temperature=0.5, negatives="both", forward=0.5)(views[0], torch.cat([views[1], views[2][:6]])))  # fmt: skip


def test_old_rows_are_not_shown(views):
    queue = Queue(5, age=2)
    queue.allocate(0, 1)
    for start in (0, 2, 4):
        queue.push(torch.arange(start, start + 2.0)[:, None])
    assert sorted(queue.stored()[0][:, 0].tolist()) == [2, 3, 4, 5]
    other = Queue(5, age=2)
    other.allocate(0, 1)
    other.load_state_dict(queue.state_dict())
    assert torch.equal(other.stored()[0], queue.stored()[0])
    loss = MoCo(0.3, size=30, age=1).build(9, 5).double()
    loss(*views[:2])
    loss(views[0], views[2])
    assert len(queue_of(loss).stored()[0]) == 9
    assert len(queue_of(MoCo(0.3, size=30).build(9, 5)).stored()[0]) == 0
    with pytest.raises(ValueError, match="age of a queue must be at least 1 push, or None for no limit, got 0"):
        MoCo(age=0)


def test_interpolated_rows_lie_between_two_and_keep_the_first_id():
    queue = Interpolated(6, b=0.8)
    queue.allocate(0, 3)
    held = torch.eye(3)
    queue.push(held, torch.tensor([5, 6, 7]))
    rows, ids = queue.draw(held.double(), torch.Generator().manual_seed(1))
    assert rows.dtype == torch.float64
    torch.testing.assert_close(rows.sum(1), torch.ones(3, dtype=torch.float64))
    assert ((rows > 1e-6).sum(1) <= 2).all()
    assert ids.tolist() == [5, 6, 7]
    assert (rows.gather(1, torch.arange(3)[:, None])[:, 0] > 0).all()
    again, _ = queue.draw(held.double(), torch.Generator().manual_seed(1))
    assert torch.equal(rows, again)


def test_the_feature_transform_shows_interpolated_rows(views):
    """Its negatives alone are those of the composed objective on unit rows, for mixtures are not on the sphere."""
    named = FeatureTransform(0.3, 9, positive=0, negative=0.8).build(9, 5).double().eval()
    queue_of(named).push(views[2] / views[2].norm(dim=1, keepdim=True))
    named.generator = torch.Generator().manual_seed(4)
    held, _ = queue_of(named).draw(views[0], torch.Generator().manual_seed(4))
    a, b = (v / v.norm(dim=1, keepdim=True) for v in views[:2])
    expected = torch.logsumexp(torch.cat([(a * b).sum(1, keepdim=True), a @ held.T], 1) / 0.3, 1) - (a * b).sum(1) / 0.3
    torch.testing.assert_close(named(*views[:2]), expected.mean())
    dotted = Contrast(similarity="dot", temperature=0.3, negatives="none", candidates=Interpolated(9, 0.8)).build(9, 5)
    dotted = dotted.double().eval()
    queue_of(dotted).push(queue_of(named).stored()[0])
    dotted.generator = torch.Generator().manual_seed(4)
    torch.testing.assert_close(dotted(a, b), expected.mean())


def test_noise_is_nobody(views):
    loss = Contrast(temperature=0.3, candidates=Noise(2.0))
    loss.generator = torch.Generator().manual_seed(3)
    noise = torch.randn(18, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def naive(a, b):
        s = torch.cat([cosines(a, b), cosines(a, noise)], 1)
        others = [[j for j in range(27) if j > 8 or IDS[j] != IDS[i]] for i in range(9)]
        return mean([info_nce_row(s[i], i, others[i], 0.3) for i in range(9)])

    torch.testing.assert_close(loss(views[0], views[1], IDS), naive(*views[:2]))
    torch.testing.assert_close(
        Contrast(temperature=0.05, candidates=Noise(0.0))(*views[:2]), DCLR(0.05, 2.0, noise=0)(*views[:2])
    )


@pytest.mark.parametrize("negatives", ["cross", "both", "none"])
@pytest.mark.parametrize(
    "candidates", [Queue(20), Queue(20, age=1), Interpolated(20), Noise(0.5)], ids=lambda c: type(c).__name__
)
def test_conforms(negatives, candidates):
    slots = {"negatives": negatives, "candidates": candidates, "forward": 0.7}
    check_objective(lambda: Contrast(**slots, weighting={"name": "hardness", "beta": 0.5}))
    check_objective(lambda: Contrast(**slots, similarity="square_euclidean", kernel="energy"))


def test_errors(views):
    with pytest.raises(ValueError, match="candidates must not be given with negatives='within'"):
        Contrast(negatives="within", candidates="noise")
    with pytest.raises(InputError, match=r"candidates must be a name.*Did you mean 'queue'"):
        Contrast(candidates="queu")
    with pytest.raises(InputError, match="candidates 'queue' needs size"):
        Contrast(candidates="queue")
    with pytest.raises(ValueError, match="log_q must not be given beside candidates"):
        Contrast(candidates="noise")(*views[:2], log_q=torch.zeros(9))
    for ratio in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"ratio must be finite and at least 0, got {ratio}"):
            Noise(ratio)
    for b in (0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"b must be a positive number, got {b}"):
            Interpolated(4, b=b)


def test_the_slots_say_so():
    told = Contrast(candidates=Queue(8), negatives="none").describe()["negatives"]
    assert told == "further rows of z2, Queue(size=8, age=None)"
