"""Tables: rows of one data set and one protocol, with spread, significance, published figures and cost."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from gcl.bench import measure, published
from gcl.bench.plan import Cell, Plan
from gcl.bench.published import Gap
from gcl.bench.records import Record, curve, diagnostics, on_valid
from gcl.bench.spec import Bench, Settings
from gcl.errors import InputError
from gcl.evaluation import Comparison, Group, Protocol, compare, holm

Stored = list[tuple[Cell, Record]]
Runs = list[tuple[Cell, Record, measure.Measures]]
"""The stored runs of a row, one a seed."""
PARITY = "PARITY: trials chosen on test, too high by design"


@dataclass(frozen=True)
class Figure:
    """A metric over the seeds; ``deviation`` is that of a sample, None for one seed."""

    mean: float
    deviation: float | None
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class Against:
    """A row beside the reference: values of users (means over seeds) in pairs; ``p``: corrected over the table."""

    reference: str
    found: Comparison
    p: float


@dataclass(frozen=True)
class Line:
    """A row of a table. ``trials`` settings were tried on the first seed before ``settings`` were chosen."""

    label: str
    trials: int
    settings: Settings
    test: dict[str, Figure]
    valid: Figure
    records: tuple[Record, ...]
    curves: tuple[list[tuple[int, float]], ...]
    groups: dict[tuple[str, int, int], dict[str, float]]
    vectors: dict[str, float]
    spectrum: tuple[float, ...]
    gaps: tuple[Gap, ...]
    said: str = ""
    missing: str = ""
    against: tuple[Against, ...] = ()

    @property
    def note(self) -> str:
        """What the file says of the row, which of its runs are missing, and why they ended early."""
        return "; ".join(text for text in (self.said, self.missing, self.cut) if text)

    @property
    def cut(self) -> str:
        """Why runs of the row ended early; empty where none did."""
        reasons = [r["cut"] for r in self.records if r["cut"]]
        return f"cut at {reasons[0]}" if reasons else ""

    def average(self, name: str) -> float:
        """Mean over the seeds of a number of the records."""
        return statistics.mean(r[name] for r in self.records)


@dataclass(frozen=True)
class Table:
    """Rows that may be compared. ``note``: what is missing of the comparison with the reference."""

    dataset: str
    protocol: Protocol
    metric: str
    show: tuple[str, ...]
    parity: bool
    lines: list[Line]
    trials: list[Record]
    note: str = ""
    remark: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The data set, without the folders of a path."""
        return Path(self.dataset).stem if "/" in self.dataset else self.dataset

    @property
    def title(self) -> str:
        """Data set, protocol, and whether it is a parity table."""
        parity = f" [{PARITY}]" if self.parity else ""
        return f"{self.name}{parity}, {self.protocol.describe()}"

    def to_dict(self) -> dict[str, Any]:
        """What ``gcl bench --json`` prints of a table."""
        rows = [
            {
                "row": line.label,
                "test": {n: {"mean": f.mean, "deviation": f.deviation, "seeds": f.seeds} for n, f in line.test.items()},
                "valid": line.valid.mean,
                "settings": line.settings,
                "trials": line.trials,
                "cut": line.cut or None,
                "note": line.note or None,
                "against": [_told(one) for one in line.against],
                "published": [asdict(gap) for gap in line.gaps],
                "seconds": line.average("seconds"),
                "seconds_to_best": line.average("seconds_to_best"),
                "peak_mb": max(r["peak_mb"] for r in line.records),
                "runs": [r["run"] for r in line.records],
            }
            for line in self.lines
        ]
        told = {"dataset": self.dataset, "protocol": self.protocol.to_dict(), "metric": self.metric}
        return {**told, "parity": self.parity, "rows": rows}


def tables(plan: Plan, stored: Stored, target: Callable[[Cell], Path]) -> list[Table]:
    """One table a data set and protocol, in the order of the file; a row without stored final runs is in none."""
    groups: dict[tuple[str, Protocol], dict[str, Runs]] = {}
    for cell, told in stored:
        if cell.stage == "final" and measure.current(cell.folder, target(cell)):
            found = measure.read(target(cell))
            key = (told["dataset"], found.evaluation.protocol)
            groups.setdefault(key, {}).setdefault(cell.row.label, []).append((cell, told, found))
    made = [_table(plan, key, rows, stored) for key, rows in groups.items()]
    order = [source.name for source in plan.bench.datasets]
    return sorted(made, key=lambda table: order.index(table.dataset))


def _table(plan: Plan, key: tuple[str, Protocol], rows: dict[str, Runs], stored: Stored) -> Table:
    dataset, protocol = key
    bench = plan.bench
    metrics = next(iter(rows.values()))[0][2].evaluation.metrics
    metric = bench.metric + protocol.suffix
    if metric not in metrics:
        raise InputError(
            f"{plan.where}: metric {bench.metric!r} is not among those of {dataset} ({protocol.describe()}); give "
            "evaluate.k in settings, or choose another metric."
        )
    show = tuple(n for n in dict.fromkeys([*(f"{n}{protocol.suffix}" for n in bench.show), metric]) if n in metrics)
    tried = [c.row.label for c, r in stored if c.stage == "trial" and r["dataset"] == dataset]
    lines = [_line(bench, cells, show, metric, tried.count(label)) for label, cells in rows.items()]
    lines, note = _against(lines, rows, metric, bench.reference)
    labels = {line.label for line in lines}
    trials = [r for c, r in stored if c.stage == "trial" and r["row"] in labels and r["dataset"] == dataset]
    remark = published.remark(dataset) if any(line.gaps for line in lines) else ""
    return Table(dataset, protocol, metric, show, bench.parity, lines, trials, note, remark)


def _line(bench: Bench, cells: Runs, show: tuple[str, ...], metric: str, tried: int) -> Line:
    row, runs = cells[0][0].row, len(cells[0][0].row.entry.run or bench.seeds)
    records = tuple(told for _, told, _ in cells)
    first = cells[0][2].evaluation
    wanted = [n for n in dict.fromkeys([*show, *published.metrics(row.source.name)]) if n in first.metrics]
    figures = {n: figure([m.evaluation.metrics[n] for _, _, m in cells]) for n in wanted}
    seen = [diagnostics(cell.folder, told["best_epoch"]) for cell, told, _ in cells]
    sigma = [m.spectrum for _, _, m in cells if m.spectrum is not None]
    return Line(
        label=row.label,
        trials=tried,
        settings=records[0]["settings"],
        test={n: figures[n] for n in show},
        valid=figure([on_valid(told, metric) or 0.0 for told in records]),
        records=records,
        curves=tuple(curve(cell.folder, metric) for cell, _, _ in cells),
        groups=_groups([m.evaluation.groups for _, _, m in cells]),
        vectors={n: statistics.mean(s[n] for s in seen) for n in seen[0] if all(n in s for s in seen)},
        spectrum=tuple(torch.stack([s / s[0] for s in sigma]).mean(0).tolist()) if len(sigma) == len(cells) else (),
        said=row.entry.note,
        missing=f"{len(cells)} of {runs} seeds" if len(cells) < runs else "",
        gaps=published.gaps(row, cells[0][0], first.protocol, figures, any(r["cut"] for r in records)),
    )


def _groups(found: list[tuple[Group, ...]]) -> dict[tuple[str, int, int], dict[str, float]]:
    """Metrics of groups of users and items, means over the seeds."""
    means: dict[tuple[str, int, int], dict[str, float]] = {}
    for group in found[0]:
        key = (group.kind, group.low, group.high)
        same = [g.metrics for groups in found for g in groups if (g.kind, g.low, g.high) == key]
        means[key] = {name: statistics.mean(m[name] for m in same) for name in group.metrics}
    return means


def _against(
    lines: list[Line], rows: dict[str, Runs], metric: str, references: Sequence[str]
) -> tuple[list[Line], str]:
    """The lines with their comparisons, p corrected by Holm over all of the table; and what is to be said of it."""
    missing = [name for name in references if name not in rows]
    note = f"No stored run under this protocol, so nothing is tested against: {', '.join(missing)}." if missing else ""
    bases = [name for name in references if name in rows]
    if not bases:
        return lines, note
    means = {label: measure.mean([m.evaluation for _, _, m in cells], metric) for label, cells in rows.items()}
    pairs = [(base, label) for base in bases for label in rows if label != base]
    made = [compare(means[base], means[label], [metric])[metric] for base, label in pairs]
    told: dict[str, list[Against]] = {}
    for (base, label), found, p in zip(pairs, made, holm([one.p_permutation for one in made]), strict=True):
        told.setdefault(label, []).append(Against(base, found, p))
    return [replace(line, against=tuple(told.get(line.label, ()))) for line in lines], note


def figure(values: Sequence[float]) -> Figure:
    """Mean and deviation over seeds."""
    return Figure(statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None, tuple(values))


def _told(against: Against) -> dict[str, Any]:
    return {"reference": against.reference, **asdict(against.found), "p_holm": against.p}
