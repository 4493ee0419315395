"""An objective that remembers its calls has its place where a step calls it once."""

import pytest
import torch

import gcl
from gcl.errors import InputError
from gcl.losses import MoCo
from gcl.testing import tiny_dataset
from gcl.testing.recommenders import batch_of

MANY = ["DCCF", "HCCF", "AdaGCL", "BM3", "SIGER", "ICLRec", "MCLRec"]


@pytest.mark.parametrize(("name", "more"), [*((name, {}) for name in MANY), ("DuoRec", {"mode": "both"})])
def test_refused_where_it_would_meet_itself(name, more):
    text = rf"objective of {name} is called several times a step .*, got MoCo \(memory: Queue\); choose one without"
    with pytest.raises(InputError, match=text):
        getattr(gcl, name)(tiny_dataset(), objective=MoCo(0.2, size=64), **more)


@pytest.mark.parametrize(("name", "more"), [("SimGCL", {}), ("DuoRec", {"mode": "across"})])
def test_one_call_a_step_writes_the_queue_once(name, more):
    data = tiny_dataset()
    model = getattr(gcl, name)(data, dim=4, objective=MoCo(0.2, size=64), **more).train()
    batch = batch_of(model, data)
    sum(model.losses(batch).values()).backward()
    objective = model.user_objective if name == "SimGCL" else model.objective
    queue = next(part for part in objective.modules() if type(part).__name__ == "Queue")
    rows = len(torch.unique(batch.users)) if name == "SimGCL" else len(batch.users)
    assert int(queue.written) == rows
