"""Methods that keep state between epochs or phases: stopped inside an epoch and continued, they are the same."""

import pytest
import torch

from gcl import build
from gcl.testing import tiny_dataset
from gcl.training.device import fabric
from gcl.training.seeds import borrowed, initialising
from gcl.training.settings import TrainSettings
from gcl.training.stage import Stage

METHODS = {
    "NCL": {"clusters": 4, "warm_up": 1},
    "AdaGCL": {},
    "HCCF": {"hyperedges": 4},
    "LightGCL": {"p": 0.2},
    "Contrastive": {"views": [{"name": "EdgeGates", "adversarial": True}, "AdversarialNoise"]},
    **{name: {} for name, where in build.MODELS.items() if ".multimodal." in where},
}


@pytest.mark.parametrize("name", METHODS)
def test_a_stop_inside_an_epoch_changes_nothing(name):
    data, device = tiny_dataset(), torch.device("cpu")

    def stage(seed):
        with initialising(seed):
            model = build.create(name, data, {"dim": 4, **METHODS[name]})
        return Stage(model, data, TrainSettings(batch_size=32), 0, fabric(device, "32"), ambient)

    with borrowed(device) as ambient:
        whole = stage(0)
        kept = None
        for epoch in (1, 2):
            for turn, _ in enumerate(whole.run_epoch()):
                if (epoch, turn) == (2, 1):
                    kept = whole.facts(), {n: t.clone() for n, t in whole.tensors().items()}
            whole.next_epoch()
        other = stage(1)
        other.restore(*kept)
        for _ in other.run_epoch():
            pass
    first, second = whole.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(first[n], second[n]) for n in first)
