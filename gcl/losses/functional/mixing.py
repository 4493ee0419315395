"""Made points: mixtures of rows that stand as negatives or positives."""

import torch
from torch import Tensor

from gcl.losses.functional.memory import closest
from gcl.losses.functional.numerics import normalise
from gcl.losses.functional.partition import log_partition


def uniform(like: Tensor, *shape: int, generator: torch.Generator | None = None) -> Tensor:
    """Numbers uniform in [0, 1), of the type and device of ``like``."""
    return torch.rand(*shape, generator=generator, dtype=like.dtype, device=like.device)


def beta(like: Tensor, a: float, b: float, *shape: int, generator: torch.Generator | None = None) -> Tensor:
    """Numbers of a Beta(a, b) law, from the generator, by two gamma draws."""
    rates = like.new_tensor([a, b]).expand(*shape, 2).contiguous()
    draws = torch._standard_gamma(rates, generator=generator)
    return draws[..., 0] / draws.sum(-1).clamp_min(torch.finfo(like.dtype).tiny)


def pick(like: Tensor, high: int, *shape: int, generator: torch.Generator | None = None) -> Tensor:
    """Whole numbers in 0 .. high - 1."""
    return torch.randint(high, shape, generator=generator, device=like.device)


@torch.no_grad()
def mixed_negatives(
    q: Tensor, memory: Tensor, hardest: int, pairs: int, own: int, generator: torch.Generator | None = None
) -> Tensor:
    """Unit mixtures [B, pairs + own, d] of the ``hardest`` rows of a memory for each unit q.

    ``pairs`` of them mix two hard rows, a ~ U(0, 1); ``own`` mix a hard row with q, whose share is b ~ U(0, 1/2).
    """
    rows, memory = len(q), memory.to(q.dtype)
    count = min(hardest, len(memory))
    top = closest(q, memory, count)

    def hard(number: int) -> Tensor:
        chosen = top.gather(1, pick(q, count, rows, number, generator=generator))
        return memory.index_select(0, chosen.flatten()).view(rows, number, memory.shape[1])

    a = uniform(q, rows, pairs, 1, generator=generator)
    b = uniform(q, rows, own, 1, generator=generator) / 2
    first = a * hard(pairs) + (1 - a) * hard(pairs)
    second = b * q[:, None] + (1 - b) * hard(own)
    return normalise(torch.cat([first, second], 1))


def ascend(x: Tensor, negatives: Tensor, positive: Tensor, noise: Tensor, steps: int, rate: float) -> Tensor:
    """Rows [K, d] moved up the mean of softplus(lse(negatives, <x, noise>) - positive) by normalised gradient steps.

    Gradients stay inside: x, ``negatives`` [B] and ``positive`` [B] are constants, and so is the result.
    """
    x, negatives, positive = x.detach(), negatives.detach(), positive.detach()
    with torch.enable_grad():
        for _ in range(steps):
            leaf = noise.detach().requires_grad_()
            more, _ = log_partition(x, normalise(leaf), keep="all")
            loss = torch.nn.functional.softplus(torch.logaddexp(negatives, more) - positive).mean()
            (slope,) = torch.autograd.grad(loss, leaf)
            noise = leaf + rate * slope / torch.linalg.vector_norm(slope).clamp_min(torch.finfo(x.dtype).tiny)
    return noise.detach()
