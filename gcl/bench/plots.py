"""Pictures of a table as SVG; the same table gives the same text."""

import io
import math
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from gcl.bench.blocks import Plot
from gcl.bench.tables import Line, Table

COLOURS = (
    "#3366cc", "#dc3912", "#109618", "#990099", "#ff9900", "#0099c6", "#dd4477", "#66aa00", "#8b4513", "#5f6b7a",
)  # fmt: skip
STYLES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")
STYLE = {
    "svg.hashsalt": "gcl", "font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#e6e9ee", "axes.edgecolor": "#8a93a0", "axes.axisbelow": True,
    "legend.frameon": False, "figure.facecolor": "white",
}  # fmt: skip
BESIDE, COLUMNS = 12, 3
"""Most names beside a picture, and the columns of more of them below it."""
Draw = Callable[[Any, Table], None]


def of(table: Table) -> Iterator[Plot]:
    """All pictures that the table has figures for."""
    vectors = [line for line in table.lines if line.vectors]
    wanted: tuple[tuple[bool, Draw, str], ...] = (
        (any(_trained(line) for line in table.lines), _curves,
         f"Learning: {table.metric} on valid by epoch, a line a seed; the dot is the chosen epoch."),
        (True, _cost, f"Accuracy against cost: {table.metric} on test (mean and deviation over seeds) by seconds to "
         "the best epoch."),
        (bool(vectors), _alignment, "Alignment of train pairs against uniformity (mean of users and items) at the best "
         "epoch; lower is better on both axes."),
        (any(line.spectrum for line in table.lines), _spectrum,
         "Singular values of the item vectors over the largest, in order."),
        (any(k[0] == "activity" for line in table.lines for k in line.groups), _activity,
         f"{table.metric} on test by how many train rows a user has."),
        (any(k[0] == "popularity" for line in table.lines for k in line.groups), _popularity,
         f"{_recall(table)} on test of the items of a group, by how many train rows an item has."),
    )  # fmt: skip
    for there, draw, caption in wanted:
        if there:
            yield Plot(_svg(draw, table), caption)


def _svg(draw: Draw, table: Table) -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.6, 4.1), layout="constrained")
        draw(figure.subplots(), table)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": "gcl"})
    return text.getvalue()


def _curves(axes: Any, table: Table) -> None:
    for at, line in enumerate(table.lines):
        if not _trained(line):
            if line.records[0]["epochs"]:  # trained, and its epochs were measured otherwise
                continue
            axes.axhline(line.valid.mean, color=_colour(at), linestyle=":", linewidth=1.1, label=line.label)
            continue
        for seed, (curve, told) in enumerate(zip(line.curves, line.records, strict=True)):
            epochs, values = zip(*curve, strict=True)
            label = line.label if seed == 0 else None
            axes.plot(epochs, values, color=_colour(at), linestyle=_style(at), linewidth=1.2, alpha=0.8, label=label)
            best = dict(curve).get(told["best_epoch"])
            if best is not None:
                axes.plot([told["best_epoch"]], [best], "o", color=_colour(at), markersize=4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel=f"valid {table.metric}")
    _legend(axes)


def _cost(axes: Any, table: Table) -> None:
    spent = [max(line.average("seconds_to_best"), 0.1) for line in table.lines]
    for at, (line, seconds) in enumerate(zip(table.lines, spent, strict=True)):
        found = line.test[table.metric]
        axes.errorbar(
            seconds, found.mean, yerr=found.deviation, color=_colour(at), marker=_marker(at), capsize=3, markersize=6,
            linestyle="none", label=line.label,
        )  # fmt: skip
    span = max(spent) / min(spent)
    if span > 8:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 300 else (1,)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="seconds to best", ylabel=f"test {table.metric}")
    _legend(axes)


def _alignment(axes: Any, table: Table) -> None:
    for at, line in enumerate(table.lines):
        names = ("uniformity/user", "uniformity/item")
        if "alignment" in line.vectors and all(name in line.vectors for name in names):
            uniform = sum(line.vectors[name] for name in names) / 2
            axes.plot(
                [uniform], [line.vectors["alignment"]], _marker(at), color=_colour(at), markersize=7, label=line.label
            )
    axes.set(xlabel="uniformity", ylabel="alignment")
    axes.margins(0.15)
    _legend(axes)


def _spectrum(axes: Any, table: Table) -> None:
    for at, line in enumerate(table.lines):
        kept = [s for s in line.spectrum if s > 1e-9]
        if kept:
            axes.plot(
                range(1, len(kept) + 1), kept, color=_colour(at), linestyle=_style(at), linewidth=1.4, label=line.label
            )
    axes.set_yscale("log")
    axes.set(xlabel="number of the singular value", ylabel="over the largest")
    _legend(axes)


def _activity(axes: Any, table: Table) -> None:
    _groups(axes, table, "activity", table.metric, "train rows of the user")


def _popularity(axes: Any, table: Table) -> None:
    _groups(axes, table, "popularity", _recall(table), "train rows of the item")


def _groups(axes: Any, table: Table, kind: str, metric: str, label: str) -> None:
    """A row a model, a dot a group: names stay readable however many they are."""
    keys = [k for k in table.lines[0].groups if k[0] == kind]
    names = [f"{low:,}" if low == high else f"{low:,} to {high:,}" for _, low, high in keys]
    rows = range(len(table.lines))
    for at, (key, name) in enumerate(zip(keys, names, strict=True)):
        found = [line.groups.get(key, {}).get(metric) for line in table.lines]
        shown = [(value, row) for value, row in zip(found, rows, strict=True) if value is not None]
        axes.plot(*zip(*shown, strict=True), _marker(at), color=_colour(at), markersize=5.5, label=name)
    axes.set_yticks(rows, [line.label for line in table.lines], fontsize=8)
    axes.set_ylim(len(table.lines) - 0.4, -0.6)
    axes.set(xlabel=f"test {metric}")
    axes.figure.set_figheight(max(2.6, 1.3 + 0.19 * len(table.lines)))
    axes.figure.legend(loc="outside lower center", ncols=len(keys), fontsize=8.5, title=label, title_fontsize=8.5)


def _legend(axes: Any) -> None:
    """Beside the picture, so that it hides nothing; below it where there are many names, which would squeeze it."""
    count = len(axes.get_legend_handles_labels()[0])
    if count > BESIDE:
        axes.figure.set_figheight(axes.figure.get_figheight() + 0.16 * math.ceil(count / COLUMNS))
        axes.figure.legend(loc="outside lower center", ncols=COLUMNS, fontsize=7.5, columnspacing=1.2)
    elif count:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, fontsize=8.5)


def _recall(table: Table) -> str:
    """The recall that groups of items have, at the cut-off of the table's metric."""
    return "recall@" + table.metric.partition("@")[2]


def _trained(line: Line) -> bool:
    return any(r["epochs"] for r in line.records) and any(line.curves)


def _colour(at: int) -> str:
    return COLOURS[at % len(COLOURS)]


def _style(at: int) -> str:
    return STYLES[at // len(COLOURS) % len(STYLES)]


def _marker(at: int) -> str:
    return MARKERS[at // len(COLOURS) % len(MARKERS)]
