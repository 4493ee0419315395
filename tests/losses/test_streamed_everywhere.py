"""Every objective: in tiles that do not divide the batch it has the value and the gradient of the whole."""

import pytest
import torch

from gcl.losses import catalogue
from gcl.losses.functional import drawn
from gcl.losses.functional import partition as module
from gcl.testing.objectives import sample

ROWS = 11
IDS = torch.tensor([0, 1, 2, 2, 3, 4, 5, 6, 7, 0, 8])
DRAWN_BY_TILE = {"InterCLR": "draws its negatives a tile at a time"}


def tiles(monkeypatch, streamed):
    monkeypatch.setitem(module.DENSE_BUDGET, "cpu", 0 if streamed else 2**16)
    monkeypatch.setitem(module.TILE, "cpu", 36 if streamed else 2**20)
    monkeypatch.setattr(module, "LEAST_ROWS", 1 if streamed else 64)
    monkeypatch.setitem(drawn.KEPT, "cpu", 0 if streamed else 2**22)


def run(name, inputs, extra):
    torch.manual_seed(0)
    objective = catalogue()[name]().build(16, 6).double()
    with torch.no_grad():
        objective(*inputs, **extra)
    torch.manual_seed(1)
    leaves = list[torch.Tensor]()

    def leaf(value):
        if isinstance(value, tuple):
            return tuple(leaf(v) for v in value)
        if not value.is_floating_point():
            return value
        leaves.append(value.clone().requires_grad_())
        return leaves[-1]

    value = objective(*(leaf(v) for v in inputs), **extra)
    leaves += [p for p in objective.parameters() if p.requires_grad]
    grads = torch.autograd.grad(value, leaves, allow_unused=True)
    return value.detach(), grads


@pytest.mark.parametrize("ids", [None, IDS], ids=["rows", "repeated ids"])
@pytest.mark.parametrize("name", [n for n in catalogue() if n not in DRAWN_BY_TILE])
def test_tiles(name, ids, monkeypatch):
    cls = catalogue()[name]
    if ids is not None and cls.kind not in ("pair", "multiview"):
        pytest.skip("takes no ids")
    inputs = sample(cls(), ROWS, torch.Generator().manual_seed(2))
    if cls.kind == "pair":
        inputs = (inputs[0], inputs[1][:ROWS])
    extra = {} if ids is None else {"ids": ids}
    results = []
    for streamed in (False, True):
        tiles(monkeypatch, streamed)
        results.append(run(name, inputs, extra))
    (value, grads), (other, other_grads) = results
    torch.testing.assert_close(other, value, rtol=1e-9, atol=1e-11)
    for a, b in zip(grads, other_grads, strict=True):
        if a is None or b is None:
            assert a is None and b is None
            continue
        torch.testing.assert_close(b, a, rtol=1e-7, atol=1e-10)
