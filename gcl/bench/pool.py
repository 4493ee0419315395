"""Jobs in processes of their own, several at a time: a peak of memory, or a crash, belongs to one run alone."""

import logging
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable
from multiprocessing import connection
from typing import Any

from gcl.bench.job import Job, work

log = logging.getLogger("gcl.bench")
PRELOADED = ["gcl.bench.job", "gcl.training.trainer", "lightning_fabric", "torch.utils.tensorboard"]
GONE = "its process "
"""How the problem of a job begins whose process ended without a word: killed, or out of memory."""
PATIENCE = 5.0
"""Seconds in which processes that were interrupted from the terminal too may end by themselves."""
Finished = Callable[[Job, str | None], Iterable[Job]]
"""Called with a job and what went wrong with it; returns the jobs that follow from it, to be done next."""


def run(jobs: Iterable[Job], workers: int, finished: Finished) -> None:
    """Do all jobs, in order, ``workers`` at a time, and those that follow from them.

    On an interruption the processes are told to stop; training saves its state first.
    """
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    waiting, active = deque(jobs), dict[Any, tuple[Any, Any, Job]]()
    try:
        while waiting or active:
            while waiting and len(active) < workers:
                job = waiting.popleft()
                here, there = context.Pipe(duplex=False)
                process = context.Process(target=work, args=(job, there))
                process.start()
                there.close()
                active[process.sentinel] = (process, here, job)
            for sentinel in connection.wait(list(active)):
                process, here, job = active.pop(sentinel)
                process.join()
                waiting.extendleft(reversed(list(finished(job, _outcome(process.exitcode, here)))))
    except KeyboardInterrupt:
        for process, _, _ in active.values():
            process.join(PATIENCE)
        raise
    finally:
        for process, _, _ in active.values():
            process.terminate()
        for process, _, _ in active.values():
            process.join()


def _outcome(code: int | None, answer: connection.Connection) -> str | None:
    """None for a job that was done, else what went wrong."""
    try:
        if answer.poll():
            message: str | None = answer.recv()
            return message
    except EOFError:
        pass
    finally:
        answer.close()
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"{GONE}was ended by {name}" + (": out of memory?" if name == "SIGKILL" else "")
    return f"{GONE}ended with exit code {code}"
