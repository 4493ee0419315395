"""The report of a comparison: ``results.jsonl``, ``report.md``, ``report.html``."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from gcl.bench import blocks
from gcl.bench.blocks import Block, Fold, Grid, Heading, Paragraph, Text, Tone
from gcl.bench.plan import Plan
from gcl.bench.records import Record, on_valid
from gcl.bench.tables import PARITY, Figure, Line, Table
from gcl.bench.words import shared, words
from gcl.training.files import write_text
from gcl.training.run import RunDirectory

log = logging.getLogger("gcl.bench")
LEVEL = 0.05
LEFT = frozenset({"settings"})
LEGEND = "Test; mean ± deviation over seeds, the best mean in bold."
TESTED = (
    "Users in pairs, each user's {metric} being the mean over seeds. Interval: bootstrap over users. p: sign-flip "
    "permutation test, corrected by Holm over all comparisons of this table. d: mean over deviation of the "
    "differences. The test tells whether these trained models serve users differently; the deviation over seeds tells "
    "how far training itself varies."
)
COST = (
    "Seconds of training, evaluation on valid included, mean over seeds; to best: the share of them up to the chosen "
    "epoch; peak: resident memory of the run's own process (of the device on CUDA). These columns differ from run to "
    "run; everything above does not."
)


def write(plan: Plan, name: str, tables: Sequence[Table], records: Sequence[Record], failed: Mapping[str, str]) -> None:
    """Write all three files; without matplotlib the report has no plots, and says so."""
    write_records(plan.out, records)
    title = plan.bench.title or name
    made = [Heading(1, title), *_preface(plan), *(b for table in tables for b in _table(table)), *_failed(failed)]
    write_text(plan.out / "report.md", blocks.markdown(made))
    write_text(plan.out / "report.html", blocks.page(title, made))


def write_records(out: Path, records: Sequence[Record]) -> None:
    """Write ``results.jsonl``, a line a stored run."""
    write_text(out / "results.jsonl", "".join(json.dumps(told, ensure_ascii=False) + "\n" for told in records))


def _preface(plan: Plan) -> list[Block]:
    bench = plan.bench
    stored = [name for name, entry in bench.models.items() if entry.run]
    if len(stored) == len(bench.models) and not bench.parity:
        return [
            Paragraph("All rows are finished runs, taken as they are stored; epochs were chosen on valid, never test.")
        ]
    chosen = "test: a parity comparison" if bench.parity else "valid, never test"
    most = f", at most {bench.budget} trials each" if bench.budget else ""
    seeds = ", ".join(map(str, bench.seeds))
    told: list[Block] = [
        Paragraph(
            f"Epochs are chosen by {bench.metric} on valid, trials by {bench.metric} on {chosen}. Trials run on seed "
            f"{bench.seeds[0]}{most}; the settings of the best one are trained with seeds {seeds}. "
            f"{bench.threads} thread{'s' if bench.threads > 1 else ''} a run, {bench.device}, precision "
            f"{bench.precision}."
        )
    ]
    if stored:
        told.append(Paragraph(f"Finished runs, taken as they are stored: {', '.join(stored)}.", small=True))
    counts = {len(e.trials) for e in bench.models.values() if len(e.trials) > 1}
    if len(counts) > 1:
        told.append(Paragraph("The models do not have equal budgets: see the column trials.", small=True))
    return told


def _table(table: Table) -> list[Block]:
    parity = f" [{PARITY}]" if table.parity else ""
    made: list[Block] = [Heading(2, f"{table.name}{parity}"), Paragraph(table.protocol.describe() + ".")]
    made.append(_main(table))
    made.append(Paragraph(LEGEND, small=True))
    made += _significance(table)
    made += _published(table)
    made += _settings(table)
    made += _plots(table)
    made += [Heading(3, "Cost"), _cost(table), Paragraph(COST, small=True)]
    if table.trials:
        made.append(Fold(f"All trials of {table.name}", (_trials(table),)))
    return made


def _main(table: Table) -> Grid:
    best = {n: max(line.test[n].mean for line in table.lines) for n in table.show}
    rows = [
        [Text(_name(line.label, table.parity), "label", line.note),
         *(Text(figure(f), "best" if f.mean == best[n] else "") for n, f in line.test.items())]
        for line in table.lines
    ]  # fmt: skip
    return Grid(("model", *table.show), rows)


def _significance(table: Table) -> list[Block]:
    """Every row beside each reference."""
    made: list[Block] = [Paragraph(table.note)] if table.note else []
    for name in dict.fromkeys(against.reference for line in table.lines for against in line.against):
        rows = []
        for line, against in ((n, a) for n in table.lines for a in n.against if a.reference == name):
            found = against.found
            tone: Tone = "muted" if against.p >= LEVEL else "better" if found.difference > 0 else "worse"
            told = (f"{found.difference:+.4f}", f"{found.low:+.4f} to {found.high:+.4f}", f"{against.p:.4f}",
                    f"{found.effect:+.2f}")  # fmt: skip
            rows.append([Text(_name(line.label, table.parity), "label"), *(Text(one, tone) for one in told)])
        columns = ("model", f"{table.metric} less {name}'s", "95 % interval", "p (Holm)", "effect d")
        made += [Heading(3, f"Against {name}"), Grid(columns, rows)]
    if len(made) > 1:
        made.append(Paragraph(TESTED.format(metric=table.metric), small=True))
    return made


def _published(table: Table) -> list[Block]:
    rows = [
        [Text(_name(line.label, table.parity), "label"), Text(gap.method), Text(gap.metric), Text(f"{gap.ours:.4f}"),
         Text(f"{gap.published:.4f}"), Text(f"{gap.gap:+.4f}", "better" if gap.gap >= 0 else "worse")]
        for line in table.lines for gap in line.gaps
    ]  # fmt: skip
    if not rows:
        return []
    columns = ("model", "published as", "metric", "here", "published", "gap")
    grid = Grid(columns, rows, frozenset({"published as", "metric"}))
    return [Heading(3, "Beside published figures of this protocol"), grid, Paragraph(table.remark, small=True)]


def _settings(table: Table) -> list[Block]:
    trained = [line.settings for line in table.lines if _trained(line)]
    common = shared(trained) if len(trained) > 1 else {}
    rows = [
        [Text(_name(line.label, table.parity), "label"), Text(_tried(line), "" if line.trials > 1 else "muted"),
         Text(figure(line.valid)), Text(_epochs(line.records)), Text(words(_own(line, common)))]
        for line in table.lines
    ]  # fmt: skip
    made: list[Block] = [Heading(3, "Settings and training")]
    if common:
        made.append(Paragraph(f"All that are trained: {words(common)}"))
    return [*made, Grid(("model", "trials", f"valid {table.metric}", "best epoch", "settings"), rows, LEFT)]


def _own(line: Line, common: Mapping[str, object]) -> dict[str, object]:
    """Settings of a row that are not shared; of a closed form only those that it reads."""
    read = {k: v for k, v in line.settings.items() if _trained(line) or not k.startswith("train.")}
    return {k: v for k, v in read.items() if k not in common or common[k] != v}


def _tried(line: Line) -> str:
    if line.records[0]["adopted"]:
        return "as stored"
    return str(line.trials) if line.trials > 1 else "none"


def _trained(line: Line) -> bool:
    return any(r["epochs"] for r in line.records)


def _cost(table: Table) -> Grid:
    rows = [
        [Text(_name(line.label, table.parity), "label"), Text(f"{line.average('seconds'):.1f}"),
         Text(f"{line.average('seconds_to_best'):.1f}"), Text(f"{max(r['peak_mb'] for r in line.records):.0f}"),
         Text(_machine(line), "muted")]
        for line in table.lines
    ]  # fmt: skip
    return Grid(("model", "seconds", "to best", "peak MB", "machine"), rows, frozenset({"machine"}))


def _trials(table: Table) -> Grid:
    order = [line.label for line in table.lines]
    trials = sorted(table.trials, key=lambda r: (order.index(r["row"]), r["number"]))
    best = {
        label: max((on_valid(r, table.metric) or 0 for r in trials if r["row"] == label), default=0) for label in order
    }
    common = shared([told["settings"] for told in trials])
    rows = []
    for told in trials:
        reached = on_valid(told, table.metric) or 0
        rows.append(
            [Text(f"{_name(told['row'], table.parity)}, trial {told['number']}", "label"),
             Text(f"{reached:.4f}", "best" if reached == best[told["row"]] else ""),
             Text(_epochs([told])), Text(told["cut"] or "", "muted"),
             Text(words({k: v for k, v in told["settings"].items() if common.get(k) != v}))]
        )  # fmt: skip
    return Grid(("trial", f"valid {table.metric}", "best epoch", "cut at", "settings"), rows, LEFT)


def _plots(table: Table) -> list[Block]:
    try:
        from gcl.bench import plots
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        log.warning("plots need matplotlib: pip install 'gcl-rec[plots]', then run gcl bench again")
        return [Paragraph("Without plots: matplotlib is not installed (pip install 'gcl-rec[plots]').", small=True)]
    return list(plots.of(table))


def _failed(failed: Mapping[str, str]) -> list[Block]:
    if not failed:
        return []
    rows = [[Text(name, "label"), Text(reason)] for name, reason in failed.items()]
    return [Heading(2, "Failed"), Grid(("run", "reason"), rows, frozenset({"reason"}))]


def figure(value: Figure) -> str:
    """``0.3195 ± 0.0021``."""
    return f"{value.mean:.4f}" + ("" if value.deviation is None else f" ± {value.deviation:.4f}")


def _epochs(records: Sequence[Record]) -> str:
    if not any(r["epochs"] for r in records):
        return "closed form"
    return ", ".join(f"{r['best_epoch']} of {r['epochs']}" for r in records)


def _name(label: str, parity: bool) -> str:
    return f"{label} (parity)" if parity else label


def _machine(line: Line) -> str:
    """Threads, version of torch and processor of the first run."""
    run = RunDirectory(line.records[0]["run"])
    facts = run.read_json(run.environment)
    cpu = f", {facts['cpu']}" if facts.get("cpu") else ""
    threads = facts["threads"]
    return f"{facts['device']}{cpu}, {threads} thread{'s' if threads > 1 else ''}, torch {facts['packages']['torch']}"
