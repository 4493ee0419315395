"""No objective of pairs or labels makes a matrix of all pairs, forward or backward: it is made tile by tile."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gcl.losses import catalogue
from gcl.losses.functional import drawn
from gcl.losses.functional import partition as module
from gcl.losses.slots import Queue
from gcl.testing.objectives import sample

ROWS = 160
NARROW = {
    "GatedContrast": {"classes": 8},
    "GroCo": {"negatives": 2},
    "InterCLR": {"negatives": 2, "pool": 4, "every": 1, "clusters": 4},
    "IntentContrast": {"intents": 4},
    "MoCHi": {"hardest": 4, "pairs": 2, "own": 2},
    "SupReMix": {"mixtures": 2},
    "SwAV": {"prototypes": 4},
    "TagBCE": {"tags": 8},
    "TempNet": {"prototypes": 4},
}
"""Arguments with which what is made for a row is small beside a row of all pairs."""
LEFT_OUT = {"SCOREQ": "triples of rows, a row's [N, N] at a time"}


class Largest(TorchDispatchMode):
    """Notes the largest tensor that an operation makes."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, list | tuple) else (out,):
            if isinstance(value, torch.Tensor) and not value.is_sparse and value.numel() > self.size:
                real = value.untyped_storage().nbytes() // value.element_size()
                self.size = max(self.size, min(real, value.numel()))
        return out


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0)
    monkeypatch.setitem(module.TILE, "cpu", 16 * ROWS)
    monkeypatch.setattr(module, "LEAST_ROWS", 1)
    monkeypatch.setitem(drawn.KEPT, "cpu", 0)


def options(name, objective):
    """What an objective may be given beside its inputs, of a shape that is not itself a matrix of all pairs."""
    rows = torch.arange(ROWS)
    more = {
        "CLAIF": {"scores": torch.rand(ROWS, dtype=torch.float64)},
        "ClusterNegatives": {"clusters": rows % 7},
        "WSP": {"positions": rows.double()},
        "SepCLR": {"attributes": rows.double(), "target": rows % 3 > 0},
        "ConR": {"predictions": rows.double() / 3},
        "ICon": {"targets": torch.sparse_coo_tensor(torch.stack([rows, rows.flip(0)]), rows + 1.0, (ROWS, ROWS))},
    }
    ids = {"ids": rows} if objective.kind == "pair" else {}
    return {**ids, **more.get(name, {})}


@pytest.mark.parametrize("name", [n for n, c in catalogue().items() if c.kind != "sets" and n not in LEFT_OUT])
def test_no_matrix_of_all_pairs(name):
    torch.manual_seed(0)
    objective = catalogue()[name](**NARROW.get(name, {}))
    for part in objective.modules():
        if isinstance(part, Queue):
            part.__init__(ROWS)
    objective = objective.build(ROWS, 6)
    inputs = sample(objective, ROWS, torch.Generator().manual_seed(0))
    extra = options(name, objective)
    if objective.kind == "labelled":
        inputs = (inputs[0], torch.arange(ROWS) % 5 if name in NARROW else torch.arange(ROWS) // 2)
    if objective.kind == "pair":
        inputs = (inputs[0], inputs[1][:ROWS])
    objective = objective.double()
    leaves = _leaves(inputs)
    with torch.no_grad():
        objective(*inputs, **extra)
    with Largest() as seen:
        objective(*inputs, **extra).backward()
    assert leaves
    assert seen.size < ROWS * ROWS / 2, f"{name} makes a tensor of {seen.size:,} numbers for {ROWS:,} rows"


def _leaves(value):
    if isinstance(value, torch.Tensor):
        return [value.requires_grad_()] if value.is_floating_point() else []
    return [leaf for v in value for leaf in _leaves(v)]
