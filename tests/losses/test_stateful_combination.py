"""Objectives that remember their calls, and those that call them."""

import pytest
import torch

from gcl.losses import CKD, Contrast, InfoNCE, MoCo, PerHead, Sum, Symmetric
from gcl.losses.base import remembering
from gcl.losses.scan import catalogue
from gcl.testing.objectives import sample

ONE_CALL = ("MoCo", "CKD", "MoCHi", "FeatureTransform", "DualMomentum", "NNCLR", "SogCLR", "InterCLR", "DirectPred")


@pytest.mark.parametrize("name", ONE_CALL)
def test_what_changes_between_two_calls_cannot_be_called_twice_a_step(name):
    """The second direction would meet rows that the first has just queued; heads would fill one queue."""
    with pytest.raises(ValueError, match=f"called once a direction.* got {name} .*Build one a direction and average"):
        Symmetric(name)
    with pytest.raises(ValueError, match=f"called once a head.* got {name} .*Build one a head and average"):
        PerHead(name)


def test_memory_is_found_inside_members_and_slots():
    with pytest.raises(ValueError, match=r"got Sum \(memory: Queue\)"):
        Symmetric(Sum(["InfoNCE", "MoCo"]))
    with pytest.raises(ValueError, match=r"got InfoNCE \(memory: Scheduled\)"):
        Symmetric({"name": "InfoNCE", "temperature": "scheduled"})
    with pytest.raises(ValueError, match=r"got Contrast \(memory: Curricular\)"):
        PerHead({"name": "Contrast", "weighting": "curricular", "margin": "angular"})


def test_without_a_queue_nothing_is_remembered(views):
    once = CKD(0.3, size=0).build(9, 5).double()
    both = Symmetric(CKD(0.3, size=0)).build(9, 5).double()
    torch.testing.assert_close(both(*views[:2]), (once(*views[:2]) + once(views[1], views[0])) / 2)
    torch.testing.assert_close(once(*views[:2]), InfoNCE(0.3)(*views[:2]))


def test_one_objective_a_direction_starts_at_zero(views):
    """What the error advises: with empty queues and nothing else to compare with, the loss is 0."""
    there, back = (MoCo(0.2, size=64).build(9, 5).double() for _ in "ab")
    ids = torch.arange(9)
    assert (there(*views[:2], ids) + back(views[1], views[0], ids)).item() == 0


EXTRA = {
    "scheduled": lambda: InfoNCE("scheduled"),
    "curricular": lambda: Contrast(weighting="curricular", margin="angular"),
}


@pytest.mark.parametrize("name", [*catalogue(), *EXTRA])
def test_objectives_say_whether_a_call_leaves_something_behind(name):
    torch.manual_seed(0)
    objective = (EXTRA.get(name) or catalogue()[name])().build(64, 6).double()
    inputs = sample(objective, 8, torch.Generator().manual_seed(0))
    options = {"ids": torch.arange(inputs[1].shape[0])} if objective.kind == "pair" else {}
    before = {k: v.clone() for k, v in objective.state_dict().items()}
    objective(*inputs, **options)
    changed = [k for k, v in objective.state_dict().items() if not torch.equal(v, before[k])]
    assert bool(changed) == bool(remembering(objective)), (changed, remembering(objective))
