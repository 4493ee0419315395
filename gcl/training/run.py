"""The folder of a run: where its files lie, and how they are written."""

import json
import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gcl.errors import InputError
from gcl.training import checkpoint
from gcl.training.device import machine
from gcl.training.files import WriteError, sync, write_json, write_text

PACKAGES = ("gcl-rec", "torch", "numpy", "scipy", "lightning-fabric", "safetensors")


class RunDirectory:
    """Paths and writers of a run.

    ``config.yaml`` resolved, with origins; ``data/`` what the model is built from and prints with;
    ``environment.json`` versions, threads, device; ``metrics.jsonl`` a line an epoch; ``events.*`` for TensorBoard;
    ``last/`` where training goes on; ``best/`` the chosen weights; ``result.json`` when it is finished; ``.lock`` is
    held by the process that trains it (:func:`gcl.training.locks.locked`).
    All but ``metrics.jsonl`` and ``events.*`` are replaced whole.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.jsonl"
        self.result = self.path / "result.json"
        self.data = self.path / "data"
        self.best = self.path / "best"
        self.last = self.path / "last"

    @property
    def finished(self) -> bool:
        """Whether the run has a result."""
        return self.result.is_file()

    @property
    def resumable(self) -> bool:
        """Whether training can go on from a checkpoint."""
        return checkpoint.exists(self.last)

    def start(self) -> None:
        """Make the folder ready for a new run; what an earlier one left before its first checkpoint is removed.

        Raises:
            InputError: it holds a finished or resumable run.
        """
        self.check_free()
        for path in (self.config, self.metrics, self.environment, *self.path.glob("events.out.tfevents.*")):
            path.unlink(missing_ok=True)
        if checkpoint.exists(self.best):
            (self.best / checkpoint.INDEX).unlink()
            checkpoint.prune(self.best, ())

    def check_free(self) -> None:
        """An error if the folder holds a finished or resumable run."""
        state = "a finished run" if self.finished else "a run that can go on" if self.resumable else ""
        if state:
            raise InputError(
                f"out: {self.path} holds {state}. Continue it with --resume {self.path}, or choose another folder."
            )

    def write_config(self, text: str) -> None:
        """Write ``config.yaml``; from here on the folder is a run."""
        write_text(self.config, text)

    def write_environment(self, facts: Mapping[str, Any]) -> None:
        """Write ``environment.json``: what is told, and versions, platform, processor and threads."""
        versions = {name: _version(name) for name in PACKAGES}
        write_json(
            self.environment,
            {**facts, **machine(), "python": platform.python_version(), "platform": platform.platform(),
             "packages": versions},
        )  # fmt: skip

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``."""
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            raise WriteError(
                f"Cannot write {self.metrics}: {error.strerror}. The last checkpoint is intact; make room, then go on "
                "with gcl train --resume."
            ) from error

    def mark(self) -> int:
        """Bytes in ``metrics.jsonl``, all of them on the disk."""
        if not self.metrics.exists():
            return 0
        sync(self.metrics)
        return self.metrics.stat().st_size

    def rewind(self, mark: int) -> None:
        """Cut ``metrics.jsonl`` back to a mark.

        Raises:
            InputError: the file is shorter.
        """
        size = self.metrics.stat().st_size if self.metrics.exists() else 0
        if size < mark:
            raise InputError(
                f"{self.metrics} was truncated after it was written: it has {size} bytes, and the checkpoint was taken "
                f"at {mark}; put the original back, or train anew."
            )
        if size:
            os.truncate(self.metrics, mark)

    def lines(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``."""
        if not self.metrics.exists():
            return []
        return [json.loads(line) for line in self.metrics.read_text(encoding="utf-8").splitlines()]

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json``: the run is finished."""
        write_json(self.result, dict(result))

    def read_json(self, path: Path) -> dict[str, Any]:
        """One of the run's JSON files.

        Raises:
            InputError: it is missing or not readable.
        """
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}); is {self.path} the folder of a run?") from error


def new_folder(model: str, dataset: str, seed: int) -> Path:
    """``runs/<model>-<dataset>-<seed>-<time>``, one that is not there yet: a number is added where it is."""
    name = f"{model.split(':')[-1]}-{Path(dataset).stem}-{seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    found, number = Path("runs") / name, 1
    while found.exists():
        number += 1
        found = Path("runs") / f"{name}-{number}"
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
