"""Naive float64 helpers, written from the formulas with loops and no tricks."""

import torch

from gcl.losses.slots import Queue


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def gradients(function, *tensors):
    """Value and gradients of a function of leaf copies."""
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    value = function(*leaves)
    return value.detach(), torch.autograd.grad(value, leaves, allow_unused=True)


def same(function, reference, *tensors, rtol=1e-9, atol=1e-10):
    """Value and gradient of two functions agree."""
    value, grads = gradients(function, *tensors)
    expected, expected_grads = gradients(reference, *tensors)
    torch.testing.assert_close(value, expected, rtol=rtol, atol=atol)
    for g, e in zip(grads, expected_grads, strict=True):
        g = torch.zeros_like(tensors[0]) if g is None and e is None else g
        e = torch.zeros_like(g) if e is None else e
        torch.testing.assert_close(torch.zeros_like(e) if g is None else g, e, rtol=rtol, atol=atol)


def units(z):
    """Rows of length 1."""
    return z / z.norm(dim=-1, keepdim=True)


def queue_of(loss):
    """The first queue of an objective."""
    return next(part for part in loss.modules() if isinstance(part, Queue))


def cosines(a, b):
    """Matrix of cosines, differentiable."""
    return (a / a.norm(dim=1, keepdim=True)) @ (b / b.norm(dim=1, keepdim=True)).T


def info_nce_row(scores, positive, others, tau):
    """-log of the positive's share, from a list of scores, by plain exponentials of shifted logits."""
    top = max([scores[positive], *(scores[j] for j in others)], key=lambda v: v.item())
    total = torch.exp((scores[positive] - top) / tau)
    for j in others:
        total = total + torch.exp((scores[j] - top) / tau)
    return torch.log(total) - (scores[positive] - top) / tau


def log_sum(values):
    """log Σ exp of a list of scalars."""
    top = max(values, key=lambda v: v.item())
    total = sum(torch.exp(v - top) for v in values)
    return top + torch.log(total)


def mean(values):
    return sum(values) / len(values) if values else torch.zeros(())
