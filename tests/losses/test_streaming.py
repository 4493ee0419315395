"""Functions of rows evaluated tile by tile."""

import pytest
import torch

from gcl.losses.functional import by_rows, negative_partition
from gcl.losses.functional import partition as module
from gcl.losses.functional.negatives import Entries


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setitem(module.TILE, "cpu", 20)
    monkeypatch.setattr(module, "LEAST_ROWS", 1)


def block(x, key, y, w):
    return (torch.cdist(x, y).exp() @ w).log() * key


def test_tiles_give_the_value_and_gradient_of_the_whole(small_tiles, views):
    x, y, w = views[0], views[1], views[2][:, 0].exp()
    key = torch.arange(9, dtype=torch.float64)
    results = []
    for stream in (True, False):
        leaves = [t.clone().requires_grad_() for t in (x, key, y, w)]
        out = by_rows(block, leaves[:2], leaves[2:], columns=9, stream=stream)
        results.append((out, *torch.autograd.grad((out * key).sum(), leaves)))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_inputs_without_gradient_are_left_alone(small_tiles, views):
    x = views[0].clone().requires_grad_()
    key = torch.arange(9)
    out = by_rows(lambda a, k, y: (a @ y.T).sum(1) * k, (x, key), (views[1],), columns=9, stream=True)
    out.sum().backward()
    torch.testing.assert_close(x.grad, key[:, None] * views[1].sum(0).expand(9, -1))


@pytest.mark.parametrize("stream", [True, False])
def test_transforms_and_weights_of_negatives(small_tiles, stream, views):
    x, y, _ = views
    ids = torch.tensor([0, 1, 1, 2, 3, 4, 5, 5, 6])
    tau = torch.linspace(0.1, 1, 9, dtype=torch.float64)
    got = negative_partition(
        x, y, 1 / tau, ids, ids, entries=Entries(torch.tanh, lambda logits, s, _: logits + 0.5 * s), stream=stream
    )
    s = torch.tanh(x @ y.T)
    for i in range(9):
        terms = [s[i, j] / tau[i] + 0.5 * s[i, j] for j in range(9) if ids[i] != ids[j]]
        torch.testing.assert_close(got[i], torch.logsumexp(torch.stack(terms), 0))
