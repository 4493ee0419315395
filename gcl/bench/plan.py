"""Rows and cells: what has to be trained for a comparison, under which settings, and in which folder."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gcl.bench.spec import Bench, Entry, Settings, Source
from gcl.build import MODELS
from gcl.config import SECTIONS, Resolved, resolve
from gcl.errors import InputError
from gcl.training.select import chosen_metric

if TYPE_CHECKING:
    from gcl.training import Run

Stage = Literal["trial", "final"]
PARITY = "bench, chosen on test"
"""Where settings of a parity comparison come from, as the run itself says."""
NO_END = 1 << 62
"""A catalogue of which nothing is known yet."""


@dataclass(frozen=True)
class Row:
    """A line of a table: an entry with one of its objectives, on one data set."""

    label: str
    name: str
    entry: Entry
    source: Source
    objective: Any = None

    @property
    def model(self) -> str:
        """Name or import path of the model."""
        return self.entry.model or self.name

    @property
    def folder(self) -> str:
        """The label as a name of files."""
        return re.sub(r"[^\w.+=-]+", "-", self.label).strip("-")


@dataclass(frozen=True)
class Cell:
    """One run: ``number`` is that of the trial, or the seed of a final run."""

    row: Row
    stage: Stage
    number: int
    seed: int
    folder: Path
    settings: Settings
    config: Resolved
    adopted: bool = False

    @property
    def name(self) -> str:
        """``SimGCL/DCL on ml-100k, seed 0``."""
        what = f"trial {self.number}" if self.stage == "trial" else f"seed {self.number}"
        return f"{self.row.label} on {self.row.source.name}, {what}"


@dataclass(frozen=True)
class Plan:
    """A comparison made ready: all settings are checked before the first run."""

    bench: Bench
    out: Path
    where: str
    rows: tuple[Row, ...]

    def trials(self, row: Row) -> list[Cell]:
        """The runs that choose the settings of a row; none where there is nothing to choose."""
        count = len(row.entry.trials)
        return [self.cell(row, "trial", number, row.entry.trials[number]) for number in range(count) if count > 1]

    def finals(self, row: Row, chosen: Settings) -> list[Cell]:
        """The runs of a row that are reported, one a seed; of an adopted row, the folders that it names."""
        if row.entry.run:
            return _adopted(self.bench, row, f"{self.where}: models.{row.name}.run")
        return [self.cell(row, "final", seed, chosen) for seed in self.bench.seeds]

    def cell(self, row: Row, stage: Stage, number: int, chosen: Settings) -> Cell:
        """One run of a row."""
        full = layered(self.bench, row, stage, chosen)
        what = f"trial{number}" if stage == "trial" else f"seed{number}"
        folder = self.out / place(row.source.name) / f"{row.folder}-{what}"
        seed = self.bench.seeds[0] if stage == "trial" else number
        where = f"{self.where}: models.{row.name}" + (f".trials, trial {number}" if stage == "trial" else "")
        return Cell(row, stage, number, seed, folder, full, _resolved(self.bench, row, full, where))


def plan(bench: Bench, out: Path, where: str) -> Plan:
    """Rows of a comparison, every setting of every run checked.

    Raises:
        InputError: an unknown model, setting or part, a value of another type; entry and trial are named.
    """
    rows = tuple(
        Row(label, name, entry, source, objective)
        for source in bench.datasets
        for name, entry in bench.models.items()
        for label, objective in labels(name, entry)
    )
    made = Plan(bench, out, where, rows)
    taken: dict[tuple[str, str], str] = {}
    for row in rows:
        key = (place(row.source.name), row.folder.lower())
        told = f"{row.label} on {row.source.name}"
        if key in taken:
            raise InputError(f"{where}: the rows {taken[key]!r} and {told!r} would share a folder; rename one.")
        taken[key] = told
        made.trials(row)
        first = row.entry.trials[0] if row.entry.trials else {}
        if row.entry.run:
            made.finals(row, first)
        else:
            made.cell(row, "final", bench.seeds[0], first)
    return made


def labels(name: str, entry: Entry) -> list[tuple[str, Any]]:
    """The rows of an entry: label and objective. Objectives of one name are told apart by their arguments."""
    if not entry.objectives:
        return [(name, None)]
    names = [one if isinstance(one, str) else str(one.get("name")) for one in entry.objectives]
    found = []
    for short, one in zip(names, entry.objectives, strict=True):
        arguments = {} if isinstance(one, str) else {k: v for k, v in one.items() if k != "name"}
        told = ",".join(f"{key}={value}" for key, value in arguments.items())
        found.append((f"{name}/{short}" + (f"({told})" if told and names.count(short) > 1 else ""), one))
    return found


def layered(bench: Bench, row: Row, stage: Stage, chosen: Settings) -> Settings:
    """The settings of a run, later layers over earlier ones; RecBole's models take none of the shared bare keys."""
    full: Settings = {"train.metric": bench.metric}
    shared: Sequence[Mapping[str, Any]] = (bench.settings, getattr(bench, stage), row.source.settings)
    for layer in shared:
        full.update({key: value for key, value in layer.items() if _takes(row.entry, key)})
    if row.objective is not None:
        full["objective"] = row.objective
    return {**full, **row.entry.settings, **chosen}


def _takes(entry: Entry, key: str) -> bool:
    section = key.partition(".")[0]
    return key not in entry.without and (entry.engine == "gcl" or section in SECTIONS[1:])


def place(dataset: str) -> str:
    """The name of the folder of a data set's runs."""
    return re.sub(r"[^\w.+=-]+", "-", Path(dataset).stem if "/" in dataset else dataset)


def _resolved(bench: Bench, row: Row, settings: Settings, where: str) -> Resolved:
    words = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    try:
        if row.entry.engine == "recbole":
            from gcl.recbole import resolved

            found = resolved(row.model, row.source.name, words, plain=not bench.tuned)
        else:
            found = resolve(row.model, row.source.name, words, plain=not bench.tuned)
        chosen_metric(found.train["metric"], found.evaluate, NO_END)
        _shown(bench, found.evaluate["k"])
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    ours = PARITY if bench.parity else "bench"
    origins = {path: ours if origin == "command line" else origin for path, origin in found.origins.items()}
    return replace(found, origins=origins)


def _shown(bench: Bench, cutoffs: Sequence[int]) -> None:
    """An error for a column that was asked for and is not evaluated."""
    for name in bench.show if "show" in bench.model_fields_set else ():
        if int(name.partition("@")[2]) not in cutoffs:
            raise InputError(f"show has {name}, and evaluate.k is {list(cutoffs)}; add it there, or leave it out.")


def _adopted(bench: Bench, row: Row, where: str) -> list[Cell]:
    """The runs that an entry names: one model under one configuration on one split, a seed each."""
    from gcl.training import load_run

    found: list[Run] = []
    for path in row.entry.run:
        if not (Path(path) / "config.yaml").is_file():
            raise InputError(f"{where} must name folders of finished runs, and {path} holds no run.")
        found.append(load_run(path))
        _fits(bench, row, found[-1], where)
        _alike(found[0], found[-1], where)
    seeds = [run.result["seed"] for run in found]
    if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise InputError(f"{where} names runs of one seed more than once, {', '.join(map(str, twice))}; keep one each.")
    return [
        Cell(row, "final", run.result["seed"], run.result["seed"], Path(path), _told(run.config), run.config, True)
        for path, run in zip(row.entry.run, found, strict=True)
    ]


def _fits(bench: Bench, row: Row, run: "Run", where: str) -> None:
    """An error for a run that cannot be this row of this comparison."""
    path, model = run.path, run.config.name
    if not run.result:
        raise InputError(f"{where}: {path} is not finished; finish it with gcl train --resume {path}.")
    if run.result["dataset"] != Path(row.source.name).stem:
        raise InputError(f"{where}: {path} is a run on {run.result['dataset']!r}, not on {row.source.name!r}.")
    if row.entry.model is not None and row.entry.model != model:
        raise InputError(f"{where}: {path} is a run of {model}, and models.{row.name}.model is {row.entry.model}.")
    if row.name in MODELS and row.entry.model is None and model != row.name:
        raise InputError(f"{where}: {path} is a run of {model}; name the entry otherwise, or give it model: {model}.")
    metrics = sorted({name.partition("/")[0] for name in run.result["metrics"]["test"]})
    if bench.metric not in metrics:
        raise InputError(f"{where}: {path} has no {bench.metric} on test, only {', '.join(metrics) or 'nothing'}.")
    if PARITY in run.config.origins.values() and not bench.parity:
        raise InputError(
            f"{where}: the settings of {path} were chosen on test; it can stand only in a comparison with parity: true."
        )


def _alike(first: "Run", other: "Run", where: str) -> None:
    """An error for two runs that are not the same but for their seed."""
    told = [
        {"model": run.config.name, "split": run.result["split_hash"], **run.config.leaves()} for run in (first, other)
    ]
    for key in dict.fromkeys([*told[0], *told[1]]):
        one, two = (leaves.get(key) for leaves in told)
        if one != two:
            raise InputError(
                f"{where} must name runs that differ in their seed alone: {key} is {one!r} in {first.path}, "
                f"and {two!r} in {other.path}; give them entries of their own."
            )


def _told(config: Resolved) -> Settings:
    """What is not a default of a configuration, as settings."""
    return {
        leaf.removeprefix("model."): value
        for leaf, value in config.leaves().items()
        if config.origins[leaf] not in ("default", "data set")
    }
