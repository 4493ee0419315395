"""A limit of seconds on training: the step is finished, the state saved, and the run marked as cut."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from gcl.training import Interrupted
from gcl.training.checkpoint import exists, record_of
from gcl.training.files import write_json
from gcl.training.run import RunDirectory

MARK = "cut.json"
"""In a run's folder: the limit at which it was cut."""


def cut_at(folder: Path) -> float | None:
    """The limit of seconds at which the run in a folder was cut; None where it was not."""
    run = RunDirectory(folder)
    mark = folder / MARK
    return None if run.finished or not mark.is_file() else float(run.read_json(mark)["seconds"])


def spent(folder: Path) -> float:
    """Seconds that the run in a folder has trained for, as far as they are saved."""
    last = RunDirectory(folder).last
    return float(record_of(last)["facts"]["ledger"]["seconds"]) if exists(last) else 0.0


class _Over(BaseException):
    """The seconds are over outside of gcl's own training loop, where nothing can be kept."""


def within(seconds: float | None, folder: Path, call: Callable[[], object]) -> None:
    """Call, and stop training when all its seconds are over, those of earlier attempts included.

    Runs in the main thread, where signals arrive.
    """
    if seconds is None:
        call()
        return
    fired, ended = threading.Event(), threading.Event()

    def stop() -> None:
        fired.set()
        os.kill(os.getpid(), signal.SIGTERM)

    def outside(number: int, frame: FrameType | None) -> None:
        if not fired.is_set():
            raise SystemExit(128 + number)
        if not ended.is_set():
            raise _Over

    before = signal.signal(signal.SIGTERM, outside)
    timer = threading.Timer(max(seconds - spent(folder), 0.0), stop)
    timer.daemon = True
    try:
        # Inside the try: a limit that is over already fires while the timer starts.
        timer.start()
        call()
        ended.set()
    except (Interrupted, _Over):
        ended.set()
        if not fired.is_set():
            raise
        write_json(folder / MARK, {"seconds": seconds})
    finally:
        ended.set()
        timer.cancel()
        # A timer that fires at this moment sends its signal before the handler is given back.
        timer.join()
        signal.signal(signal.SIGTERM, before)
