"""Queues and the objectives on them."""

import math

import pytest
import torch

from gcl.losses import CKD, GML, NNCLR, CLIPLoss, CrossBatchMemory, InfoNCE, MoCo, SupCon
from gcl.losses.slots.candidates import BalancedQueue, Queue
from tests.losses.reference import cosines, info_nce_row, mean, queue_of, same


def rows(*values):
    return torch.tensor(values, dtype=torch.float32)[:, None]


def test_the_queue_is_a_ring():
    queue = Queue(5)
    queue.allocate(0, 1)
    assert len(queue.stored()[0]) == 0, "random first entries would be false negatives"
    queue.push(rows(0, 1, 2), torch.tensor([10, 11, 12]))
    assert queue.stored()[0][:, 0].tolist() == [0, 1, 2]
    queue.push(rows(3, 4, 5))
    assert queue.stored()[0][:, 0].tolist() == [5, 1, 2, 3, 4]
    assert queue.stored()[1].tolist() == [-1, 11, 12, -1, -1]
    queue.push(rows(*range(10, 22)))
    assert sorted(queue.stored()[0][:, 0].tolist()) == [17, 18, 19, 20, 21]
    other = Queue(5)
    other.allocate(0, 1)
    other.load_state_dict(queue.state_dict())
    assert torch.equal(other.stored()[0], queue.stored()[0])
    empty = Queue(0)
    empty.allocate(0, 1)
    empty.push(rows(1))
    assert len(empty.stored()[0]) == 0


def test_moco(views):
    loss = MoCo(0.3, size=9).build(9, 5).double()
    loss(views[0], views[2], torch.arange(9))
    keys, ids = queue_of(loss).stored()
    loss.eval()

    def naive(a, b):
        s = torch.cat([cosines(a, b).diagonal()[:, None], cosines(a, keys)], 1)
        return mean([info_nce_row(s[i], 0, [1 + c for c in range(9) if ids[c] != i], 0.3) for i in range(9)])

    same(lambda a, b: loss(a, b, torch.arange(9)), naive, views[0], views[1])
    assert not keys.requires_grad


def test_moco_without_candidates_is_zero_and_in_batch_is_info_nce(views):
    assert MoCo(0.3).build(9, 5).double()(*views[:2]).item() == 0
    torch.testing.assert_close(MoCo(0.3, in_batch=True).build(9, 5).double()(*views[:2]), InfoNCE(0.3)(*views[:2]))
    more = MoCo(0.3).build(9, 5).double()(views[0][:4], views[1])
    s = cosines(views[0], views[1])
    expected = mean([info_nce_row(s[i], i, range(4, 9), 0.3) for i in range(4)])
    torch.testing.assert_close(more, expected)


def test_evaluation_leaves_the_queue_alone(views):
    loss = MoCo().build(9, 5).eval()
    loss(views[0].float(), views[1].float())
    assert queue_of(loss).written.item() == 0


def test_ckd(views, eye):
    loss = CKD().build(9, 5).double()
    tau = math.exp(-1)
    z1, z2 = (v.clone().requires_grad_() for v in views[:2])
    value = loss(z1, z2)
    torch.testing.assert_close(value, InfoNCE(tau)(views[0], views[1]), rtol=1e-6, atol=1e-6)
    value.backward()
    assert z2.grad is None or bool((z2.grad == 0).all())
    assert CKD(0.5).build(9, 4).double()(eye, eye).item() == pytest.approx(0.340753, abs=1e-6)
    teacher = loss.queue.stored()[0]
    second = loss.eval()(views[2], views[1])
    s = torch.cat([cosines(views[2], views[1]), cosines(views[2], teacher)], 1)
    hidden = mean([info_nce_row(s[i], i, [j for j in range(18) if j != i], tau) for i in range(9)])
    torch.testing.assert_close(second, hidden, rtol=1e-6, atol=1e-6)
    mse = CKD(0.5, mse=2.0).build(9, 5).double()(*views[:2]) - CKD(0.5).build(9, 5).double()(*views[:2])
    a, b = (v / v.norm(dim=1, keepdim=True) for v in views[:2])
    torch.testing.assert_close(mse, 2 * (a - b).square().mean())


def test_nnclr(views):
    loss = NNCLR(0.3, 9).build(9, 5).double()
    torch.testing.assert_close(loss(*views[:2]), CLIPLoss(0.3)(*views[:2]))
    held = loss.queue.stored()[0]
    loss.eval()
    near = [held[cosines(v, held).argmax(1)] for v in views[:2]]

    def naive(a, b):
        return (InfoNCE(0.3)(near[0], b) + InfoNCE(0.3)(near[1], a)) / 2

    same(loss, naive, views[0], views[1])
    own = NNCLR(0.3, 9).build(9, 5).double()
    own.queue.push(views[0] / views[0].norm(dim=1, keepdim=True))
    x = views[0].clone().requires_grad_()
    torch.testing.assert_close(own(x, views[0]), CLIPLoss(0.3)(views[0], views[0]))


def test_cross_batch_memory(views):
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 3, 2, 1])
    loss = CrossBatchMemory("SupCon", size=20).build(9, 5).double()
    torch.testing.assert_close(loss(views[0], labels), SupCon()(views[0], labels))
    stack = torch.cat([views[1], views[0]])
    expected = SupCon().compute(stack, labels.repeat(2))[0][:9].mean()
    torch.testing.assert_close(loss(views[1], labels), expected)
    with pytest.raises(ValueError, match=r"keeps labels as whole numbers, got torch.float64"):
        CrossBatchMemory("ConR").build(9, 5).double()(views[0], labels.double())
    with pytest.raises(ValueError, match="needs an objective with one value a row, SCoRe gives 1"):
        CrossBatchMemory("SCoRe").build(9, 5).double()(views[0], labels)


def test_a_ring_for_every_label():
    """Against lists of the last rows of each label, through pushes of all sizes."""
    queue = BalancedQueue(6, [2.0, 1.0, 0.0], base=2)
    assert queue.room.tolist() == [6, 4, 2] and queue.size == 12
    queue.allocate(0, 1)
    assert len(queue.stored()[0]) == 0
    draw, kept, count = torch.Generator().manual_seed(0), {0: [], 1: [], 2: []}, 0
    for size in (3, 1, 0, 9, 30, 2):
        labels = torch.randint(3, (size,), generator=draw)
        values = torch.arange(count, count + size, dtype=torch.float32)
        count += size
        queue.push(values[:, None], labels)
        for label, value in zip(labels.tolist(), values.tolist(), strict=True):
            kept[label] = [*kept[label], value][-int(queue.room[label]) :]
        held, of = queue.stored()
        for label in range(3):
            assert sorted(held[of == label, 0].tolist()) == kept[label]
    other = BalancedQueue(6, [2.0, 1.0, 0.0], base=2)
    other.allocate(0, 1)
    other.load_state_dict(queue.state_dict())
    assert torch.equal(other.stored()[0], queue.stored()[0])
    none = BalancedQueue(0, [1.0, 1.0], base=0)
    none.allocate(0, 1)
    none.push(rows(1, 2), torch.tensor([0, 1]))
    assert len(none.stored()[0]) == 0


def test_cross_batch_memory_keeps_rare_labels(views):
    common, rare = torch.zeros(9, dtype=torch.long), torch.tensor([0, 0, 0, 0, 1, 0, 0, 0, 0])
    loss = CrossBatchMemory("GML", size=4, prior=[0.9, 0.1]).build(9, 5).double()
    plain = CrossBatchMemory("GML", size=14).build(9, 5).double()
    for memory in (loss, plain):
        memory(views[0], rare)
        for _ in range(3):
            memory(views[1], common)
    assert 1 in loss.queue.stored()[1].tolist() and 1 not in plain.queue.stored()[1].tolist()
    held, past = loss.queue.stored()
    stack = torch.cat([views[2], held.double()])
    expected, valid = GML().compute(stack, torch.cat([rare, past]))
    torch.testing.assert_close(loss(views[2], rare), expected[:9][valid[:9]].mean())
    with pytest.raises(ValueError, match=r"labels must be in 0 .. 1, the labels that prior has a number for, got 2"):
        loss(views[0], common + 2)
    with pytest.raises(ValueError, match="prior must hold a finite number >= 0 for every label and one above 0"):
        CrossBatchMemory(prior=[0, 0])
    with pytest.raises(ValueError, match=r"prior must hold a finite number.*got \[1.0, inf\]"):
        CrossBatchMemory(prior=[1.0, math.inf])
    with pytest.raises(ValueError, match="size and base must be at least 0, got -1 and 5"):
        CrossBatchMemory(size=-1, prior=[1.0])
    with pytest.raises(RuntimeError, match="queue has no room yet"):
        CrossBatchMemory(prior=[1.0, 1.0])(views[0], rare)


@pytest.mark.parametrize("kind", [torch.int32, torch.int16, torch.uint8, torch.bool])
@pytest.mark.parametrize("prior", [None, [0.5, 0.5]])
def test_ids_and_labels_of_any_whole_type_are_kept(views, kind, prior):
    labels = torch.tensor([0, 0, 1, 0, 1, 1, 0, 1, 1])
    short, long = (CrossBatchMemory(size=20, prior=prior).build(9, 5).double() for _ in range(2))
    for view in views:
        assert short(view, labels.to(kind)).item() == long(view, labels).item()
    queues = [MoCo(size=20).build(9, 5).double() for _ in range(2)]
    for view in views:
        assert queues[0](view, view, labels.to(kind)).item() == queues[1](view, view, labels).item()


@pytest.mark.parametrize("prior", [None, [0.5, 0.5]])
def test_a_memory_built_again_is_empty(views, prior):
    """Room made anew holds rows of zeros, which are nobody's negatives."""
    labels = torch.tensor([0, 0, 1, 0, 1, 1, 0, 1, 1])
    used = CrossBatchMemory(size=20, prior=prior).build(9, 5).double()
    used(views[0], labels)
    again = used.build(9, 5).double()
    assert len(used.queue.stored()[0]) and not len(again.queue.stored()[0])
    torch.testing.assert_close(again(views[1], labels), SupCon()(views[1], labels))
    aged = MoCo(size=20, age=1).build(9, 5).double()
    aged(*views[:2])
    assert not len(queue_of(aged.build(9, 5)).stored()[0])


def test_errors(views):
    with pytest.raises(ValueError, match="objective must be of kind labelled, got one of kind pair"):
        CrossBatchMemory(InfoNCE())
    with pytest.raises(ValueError, match="size of a queue must be at least 0"):
        MoCo(size=-1)
    with pytest.raises(RuntimeError, match="queue has no room yet: call objective.build"):
        MoCo()(*views[:2])
