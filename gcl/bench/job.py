"""What a process does for one cell: train or go on, then measure what the tables and plots need."""

import logging
import os
import signal
import threading
import traceback
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

from gcl.bench.limits import MARK, cut_at, within
from gcl.bench.measure import measure
from gcl.bench.plan import Cell
from gcl.errors import InputError
from gcl.training.locks import locked

log = logging.getLogger("gcl.bench")
GRACE = 30.0
"""Seconds that training has to save its state when the process that asked for it is gone."""


@dataclass(frozen=True)
class Job:
    """A cell and the conditions that it runs under; ``measured``: where the measures of a final run are kept.

    ``split``: hash of the split that other runs of the row were made on, if there are any.
    """

    cell: Cell
    threads: int
    device: str
    precision: str
    measured: Path | None
    split: str | None = None


def work(job: Job, answer: connection.Connection) -> None:
    """Entry of the process: do the job and send None, or what went wrong."""
    import torch

    _leave_with_parent()
    torch.set_num_threads(job.threads)
    try:
        do(job)
        answer.send(None)
    except KeyboardInterrupt as error:
        raise SystemExit(130) from error
    except InputError as error:
        answer.send(str(error))
    except Exception as error:
        if hasattr(error, "exit_code"):
            raise SystemExit(error.exit_code) from error
        if job.cell.folder.is_dir() and not job.cell.adopted:
            (job.cell.folder / "error.log").write_text(traceback.format_exc(), encoding="utf-8")
        answer.send(f"{type(error).__name__}: {error}")


def do(job: Job) -> None:
    """Train unless that is done, measure unless that is done."""
    cell = job.cell
    if not cell.adopted and not done(cell):
        with locked(cell.folder, wait=True):
            check_same(cell)
            (cell.folder / MARK).unlink(missing_ok=True)
            if not done(cell):
                _train(job)
    if job.measured is not None:
        measure(cell.folder, job.measured)


def done(cell: Cell) -> bool:
    """Whether the run of a cell is finished, or was cut by the limit of seconds that still holds."""
    if (cell.folder / "result.json").is_file():
        return True
    limit, cut = cell.row.entry.seconds, cut_at(cell.folder)
    return limit is not None and cut is not None and cut >= limit


def check_same(cell: Cell, **conditions: Any) -> None:
    """An error where the folder of a cell holds a run of other settings; the first differences are named.

    ``conditions``: facts of ``environment.json`` that have to be these, too.
    """
    from gcl.training import load_run

    if not (cell.folder / "config.yaml").is_file():
        return
    run = load_run(cell.folder)
    if not run.result and not run.directory.resumable:
        return
    conditions = {"seed": cell.seed, **conditions}
    facts = {name: run.environment.get(name) for name in conditions}
    before = {"dataset": run.config.dataset, **facts, **run.config.leaves()}
    now = {"dataset": cell.config.dataset, **conditions, **cell.config.leaves()}
    if run.config.origins.get("data.split") == "data set":
        before["data.split"] = None
    changed = [
        f"{path} is {now.get(path)!r} and was {before.get(path)!r}"
        for path in dict.fromkeys([*before, *now])
        if before.get(path) != now.get(path) and not (path not in before and _defaulted(cell, path))
        if path != "train.checkpoint_seconds"
    ]
    if run.config.name != cell.config.name:
        changed.insert(0, f"the model is {cell.config.name} and was {run.config.name}")
    if changed:
        raise InputError(
            f"{cell.folder} holds a run of other settings: {'; '.join(changed[:4])}. Remove the folder to train it "
            "anew, name the entry otherwise, or choose another --out."
        )


def _defaulted(cell: Cell, path: str) -> bool:
    """Whether a setting that an older run does not know is at its default."""
    return cell.config.origins.get(path, "default") == "default"


def _train(job: Job) -> None:
    """Train, or go on with, the run of a cell; the limit of seconds is on training, not on reading the data."""
    from gcl.bench import guards
    from gcl.data import load
    from gcl.training import fit_resolved, resume
    from gcl.training.run import RunDirectory

    cell, seconds = job.cell, job.cell.row.entry.seconds
    if RunDirectory(cell.folder).resumable:
        within(seconds, cell.folder, lambda: resume(cell.folder, progress=False))
        return
    data = load(cell.row.source.name, **cell.config.data)
    if job.split is not None and data.split.hash != job.split:
        raise InputError(
            f"{cell.row.source.name} is not what it was: its split is {data.split.hash} now, and runs of "
            f"{cell.row.label} in {cell.folder.parent} were made on {job.split}. Remove them, or choose another --out."
        )
    guards.require_clean(data)
    told: dict[str, Any] = {"seed": cell.seed, "device": job.device, "out": cell.folder}
    if cell.row.entry.engine == "recbole":
        from gcl import recbole

        within(seconds, cell.folder, lambda: recbole.fit_resolved(cell.config, data, **told))
    else:
        told |= {"precision": job.precision, "progress": False}
        within(seconds, cell.folder, lambda: fit_resolved(cell.config, data, **told))


def _leave_with_parent() -> None:
    """Stop when the process that started this one is gone: save the state, then end."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(GRACE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
