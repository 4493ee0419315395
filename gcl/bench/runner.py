"""A comparison from its file to its report: what is missing is trained, what is there is read."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gcl.bench import pool, published
from gcl.bench.guards import require_here
from gcl.bench.job import Job, check_same, done
from gcl.bench.measure import current
from gcl.bench.plan import Cell, Plan, Row, place, plan
from gcl.bench.records import Record, record, value
from gcl.bench.report import write, write_records
from gcl.bench.spec import Bench, Settings, read
from gcl.bench.tables import Table, tables
from gcl.bench.winners import written
from gcl.errors import InputError
from gcl.training.device import choose
from gcl.training.locks import locked

log = logging.getLogger("gcl.bench")


@dataclass
class Outcome:
    """What a comparison has come to: ``tables``, a ``records`` entry a stored run, ``failed`` cells with the reason."""

    out: Path
    tables: list[Table] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What ``gcl bench --json`` prints."""
        return {"out": str(self.out), "tables": [t.to_dict() for t in self.tables], "failed": self.failed}


def bench(file: str | Path | Bench, out: str | Path | None = None, workers: int = 1, name: str = "bench") -> Outcome:
    """Train what a comparison lacks, and write ``results.jsonl``, ``report.md``, ``report.html`` and chosen settings.

    A finished run is not repeated; one that was stopped goes on from its last checkpoint, in its folder
    ``OUT/<dataset>/<row>-trial<n>`` or ``-seed<n>``. Every run has a process of its own.

    Args:
        file: the file of the comparison, or what :func:`gcl.bench.read` made of one.
        out: the folder of runs and report; by default ``runs/bench/<name of the file>``.
        workers: so many runs at a time. Figures do not depend on it; timings do.
        name: what the comparison is called where it is not in a file.

    Raises:
        InputError: a wrong setting anywhere in the file (before the first run), a folder in which another process is
            at work, or that holds a run of other settings.
    """
    if workers < 1:
        raise InputError(f"workers must be at least 1, got {workers}.")
    spec = file if isinstance(file, Bench) else read(file)
    name = name if isinstance(file, Bench) else Path(file).stem
    folder = Path(out) if out is not None else Path("runs/bench") / name
    where = name if isinstance(file, Bench) else str(file)
    choose(spec.device)
    published.check(spec, where)
    made = plan(spec, folder, where)
    with locked(folder, wait=False):
        return _Runner(made, name).run(workers)


class _Runner:
    """The state of one comparison: which trials a row still waits for, and what failed."""

    def __init__(self, made: Plan, name: str) -> None:
        self.plan, self.name = made, name
        self.parity = made.bench.parity
        self.open: dict[str, set[int]] = {}
        self.trials: dict[str, list[Cell]] = {}
        self.finals: dict[str, list[Cell]] = {}
        self.failed: dict[str, str] = {}

    def run(self, workers: int) -> Outcome:
        """Everything that is still to do, then the report; the report also after an interruption."""
        jobs = [job for row in self.plan.rows for job in self._begin(row)]
        for name in {job.cell.row.source.name for job in jobs if not done(job.cell) and not _given(job.cell)}:
            require_here(name)
        try:
            pool.run(jobs, workers, self._finished)
        finally:
            outcome = self._report()
        return outcome

    def _begin(self, row: Row) -> list[Job]:
        """The trials of a row that are not done; its final runs where they all are."""
        trials = self.trials[_key(row)] = self.plan.trials(row)
        for cell in trials:
            self._check_same(cell)
        missing = [cell for cell in trials if not done(cell)]
        self.open[_key(row)] = {cell.number for cell in missing}
        return [self._job(cell) for cell in missing] or self._choose(row)

    def _finished(self, job: Job, problem: str | None) -> Iterable[Job]:
        """What follows from a job."""
        cell = job.cell
        if problem is not None:
            self.failed[cell.name] = problem
            log.warning("%s failed: %s", cell.name, problem)
        else:
            found = record(cell, self.parity)
            reached = None if found is None else value(found, "valid", self.plan.bench.metric)
            shown = "" if reached is None else f": valid {self.plan.bench.metric} {reached:.4f}"
            log.info("%s%s, %.0f s", cell.name, shown, found["seconds"] if found else 0)
        self._write_records()
        if cell.stage == "final":
            return []
        waiting = self.open[_key(cell.row)]
        waiting.discard(cell.number)
        try:
            return [] if waiting else self._choose(cell.row)
        except InputError as error:
            self.failed[f"{cell.row.label} on {cell.row.source.name}"] = str(error)
            return []

    def _choose(self, row: Row) -> list[Job]:
        """The final runs of a row under the settings of its best trial.

        Raises:
            InputError: the folder of one holds a run of other settings.
        """
        chosen: Settings | None = row.entry.trials[0] if row.entry.trials else {}
        if self.trials[_key(row)]:
            chosen = self._best(self.trials[_key(row)])
        if chosen is None:
            part = "test" if self.parity else "valid"
            self.failed[f"{row.label} on {row.source.name}"] = (
                f"no trial has {self.plan.bench.metric} on {part}, so none could be chosen"
            )
            return []
        finals = self.plan.finals(row, chosen)
        for cell in finals:
            if not cell.adopted:
                self._check_same(cell)
        self.finals[_key(row)] = finals
        if self.trials[_key(row)]:
            self._write_winner(finals[0])
        return [self._job(cell) for cell in finals if not done(cell) or not current(cell.folder, self.target(cell))]

    def _write_winner(self, cell: Cell) -> None:
        """The chosen settings as a file, ``OUT/settings/<row>/<dataset>.yaml``; the protocol is no part of them."""
        row, found = cell.row, record(self.trials[_key(cell.row)][0], self.parity)
        closed = found is not None and not found["epochs"]
        told = f"chosen on {'test (parity)' if self.parity else 'valid'} by {self.plan.bench.metric} among"
        path = self.plan.out / "settings" / row.folder / f"{place(row.source.name)}.yaml"
        without = ("evaluate", "train") if closed else ("evaluate",)
        written(path, cell.config, f"{told} {len(row.entry.trials)} trials of {self.name}", without)

    def _best(self, trials: list[Cell]) -> Settings | None:
        """The settings of the best trial on valid (of a parity comparison, on test), the first of equal ones."""
        part, metric = "test" if self.parity else "valid", self.plan.bench.metric
        stored = [(cell, told) for cell in trials if (told := record(cell, self.parity)) is not None]
        splits = {told["split_hash"] for _, told in stored}
        if len(splits) > 1:
            raise InputError(
                f"The trials of {trials[0].row.label} were made on different splits, {', '.join(sorted(splits))}: no "
                f"best one can be chosen. Remove the older ones from {trials[0].folder.parent}."
            )
        best: tuple[float, Settings] | None = None
        for cell, told in stored:
            reached = value(told, part, metric)
            if reached is not None and (best is None or reached > best[0]):
                best = (reached, cell.row.entry.trials[cell.number])
        return None if best is None else best[1]

    def _check_same(self, cell: Cell) -> None:
        spec = self.plan.bench
        own = {"precision": spec.precision} if cell.row.entry.engine == "gcl" else {}
        check_same(cell, threads=spec.threads, **own)

    def _job(self, cell: Cell) -> Job:
        spec = self.plan.bench
        target = self.target(cell) if cell.stage == "final" else None
        before = [*self.trials.get(_key(cell.row), []), *self.finals.get(_key(cell.row), [])]
        splits = [told["split_hash"] for one in before if (told := record(one, self.parity)) is not None]
        return Job(cell, spec.threads, spec.device, spec.precision, target, splits[0] if splits else None)

    def target(self, cell: Cell) -> Path:
        """Where the measures of a final run are kept."""
        return self.plan.out / "measured" / place(cell.row.source.name) / f"{cell.row.folder}-seed{cell.number}"

    def _records(self) -> list[tuple[Cell, Record]]:
        """All stored runs in the order of the file."""
        keys = [_key(row) for row in self.plan.rows]
        cells = [cell for stage in (self.trials, self.finals) for key in keys for cell in stage.get(key, [])]
        found = [(cell, record(cell, self.parity)) for cell in cells]
        return [(cell, told) for cell, told in found if told is not None]

    def _write_records(self) -> None:
        write_records(self.plan.out, [told for _, told in self._records()])

    def _report(self) -> Outcome:
        stored = self._records()
        made = tables(self.plan, stored, self.target)
        outcome = Outcome(self.plan.out, made, [told for _, told in stored], self.failed)
        write(self.plan, self.name, outcome.tables, outcome.records, self.failed)
        return outcome


def _given(cell: Cell) -> bool:
    """Whether the data come from files that the settings name."""
    return cell.config.data.get("train") is not None


def _key(row: Row) -> str:
    return f"{row.source.name}\n{row.label}"
