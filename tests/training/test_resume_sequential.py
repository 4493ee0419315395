"""Sequential recommenders stopped anywhere, also between the turns of a batch, and continued: bit for bit the same."""

import pytest
import torch

from gcl import build
from gcl.testing import tiny_dataset
from gcl.training.device import deterministic, fabric
from gcl.training.seeds import borrowed, initialising
from gcl.training.settings import TrainSettings
from gcl.training.stage import Stage

MODELS = {
    "SASRec": {"loss": "sampled", "negatives": 5, "inner": 8, "modalities": ["text"]},
    "GRU4Rec": {"loss": "bce", "negatives": 2, "hidden": 8},
    "CL4SRec": {"inner": 8, "views": ["Crop", "Mask", "Reorder", "Substitute", "Insert"]},
    "DuoRec": {"inner": 8, "mode": "both"},
    "ICLRec": {"inner": 8, "intents": 4},
    "MCLRec": {"inner": 8, "weight": 0.1},
    "MCLRec/two": {"inner": 8, "turns": "two"},
    "MCLRec/joint": {"inner": 8, "turns": "joint"},
}
DEVICE = torch.device("cpu")


def stage(name, ambient, seed=0):
    data = tiny_dataset()
    with initialising(seed):
        model = build.create(name.partition("/")[0], data, {"dim": 8, **MODELS[name]})
    return Stage(model, data, TrainSettings(batch_size=8), 0, fabric(DEVICE, "32"), ambient)


def snapshot(at):
    return at.facts(), {name: tensor.clone() for name, tensor in at.tensors().items()}


def finish(at, epochs):
    while at.epoch <= epochs:
        for _ in at.run_epoch():
            pass
        at.next_epoch()
    return {name: tensor.clone() for name, tensor in at.tensors().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("name", MODELS)
def test_a_stop_inside_an_epoch_changes_nothing(name):
    with borrowed(DEVICE) as ambient, deterministic(DEVICE):
        whole, kept = stage(name, ambient), None
        for _ in whole.run_epoch():
            pass
        whole.next_epoch()
        for turn, _ in enumerate(whole.run_epoch()):
            if turn == 0:
                kept = snapshot(whole)
        whole.next_epoch()
        expected = finish(whole, 3)
        other = stage(name, ambient, seed=1)
        other.restore(*kept)
        assert_same(finish(other, 3), expected)


class Killed(BaseException):
    """What a process that is killed does not catch."""


@pytest.mark.parametrize(("turns", "method", "call"), [
    ("MCLRec", "losses", 1), ("MCLRec", "augmenter_losses", 1), ("MCLRec", "losses", 2),
    ("MCLRec/two", "augmenter_losses", 1),
])  # fmt: skip
def test_a_kill_between_turns_repeats_the_batch(turns, method, call):
    with borrowed(DEVICE) as ambient, deterministic(DEVICE):
        expected = finish(stage(turns, ambient), 2)
        cut = stage(turns, ambient)
        steps = cut.run_epoch()
        next(steps)
        kept, calls, real = snapshot(cut), [0], getattr(cut.model, method)

        def killed(batch):
            calls[0] += 1
            if calls[0] == call:
                raise Killed
            return real(batch)

        for at, turn in enumerate(cut.steps.turns):
            if turn.phase.losses.__name__ == method:
                phase = type(turn.phase)(turn.phase.name, turn.phase.parameters, killed)
                cut.steps.turns[at] = type(turn)(phase, turn.parameters, turn.optimiser, turn.prefix)
        with pytest.raises(Killed):
            next(steps)
        again = stage(turns, ambient, seed=1)
        again.restore(*kept)
        assert_same(finish(again, 2), expected)


def test_the_turns_of_one_side_share_an_optimiser_and_the_other_has_its_own():
    with borrowed(DEVICE) as ambient:
        one = stage("MCLRec", ambient)
        assert set(one.steps.optimisers) == {"encoder", "augmenters"}
        next(one.run_epoch())
        count = {name: int(next(iter(adam.state.values()))["step"]) for name, adam in one.steps.optimisers.items()}
    assert count == {"encoder": 2, "augmenters": 1}
