"""What tests of identities share: rows, built objectives, keys that name an objective and the start of its claim."""

import torch

from tests.losses.reference import queue_of, same, units

B, D = 7, 5
LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 2])
ALONE = torch.arange(B)


def draw(*shape, seed=5):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fixed(loss):
    """Built, in float64, not training: state stays as it is."""
    torch.manual_seed(3)
    return loss.build(2 * B, D).double().eval()


def filled(loss):
    """The same with past rows in its queue."""
    loss = fixed(loss)
    queue_of(loss).push(units(draw(4, D, seed=17)), None)
    return loss


def both(loss):
    return lambda a, b: loss(a, b) / 2 + loss(b, a) / 2


def others(scores):
    """Entries off the diagonal, row by row."""
    off = ~torch.eye(len(scores), dtype=torch.bool)
    return scores[off].view(len(scores), -1)


def zero(*tensors):
    """0 with a gradient of 0 on all of them."""
    return sum(0 * t.sum() for t in tensors)


def check(pair, *tensors):
    """Value and gradient of both sides; a third entry is the tolerance of a limit."""
    first, second, *rest = pair
    rtol, atol = (rest[0], rest[0]) if rest else (1e-6, 1e-7)
    same(first, second, *tensors, rtol=rtol, atol=atol)


def claim_of(key):
    """Name of the objective and start of its claim, of a key "name: start [variant]"."""
    name, _, start = key.partition(": ")
    return name, start.partition(" [")[0]
