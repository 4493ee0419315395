"""CPU time of every optimiser step of a training loop that is not ours to change."""

import time
from collections.abc import Callable

from torch.optim.optimizer import register_optimizer_step_post_hook


class Enough(BaseException):
    """Leaves a training loop from inside its last optimiser step; no ``except Exception`` of a peer catches it."""


def measure(epoch: Callable[[], object], steps: int) -> list[float]:
    """CPU seconds of this process at the beginning and after each of the first ``steps`` optimiser steps of ``epoch``.

    Whatever the loop does between two steps (batches, negatives, losses, backward, logging) is in the difference.
    With ``steps`` = 0 the function is called as a whole, and its end is the only other time.
    """
    ticks = [time.process_time()]
    if not steps:
        epoch()
        return [*ticks, time.process_time()]

    def tick(*_: object) -> None:
        ticks.append(time.process_time())
        if len(ticks) > steps:
            raise Enough

    handle = register_optimizer_step_post_hook(tick)
    try:
        epoch()
    except Enough:
        return ticks
    finally:
        handle.remove()
    raise RuntimeError(f"the training loop ended after {len(ticks) - 1} of {steps} steps.")
