"""Methods of graph SSL on stored graphs: accuracy of probes, beside encoders that were never trained.

    python -m benchmarks.graph_ssl [--only ROW ...] [--seeds 5] [--quick]
    python -m benchmarks.graph_ssl --tune ROW

A row is a method on a graph under ``configs/<method>/<graph>.yaml``; a cell is a row and a seed, of initialisation,
views, split and probe. A cell is stored when it is done and not run again: call it until the table is full. Graph-level
rows stand beside the same encoder as it was initialised, under the same probe and folds; the difference is paired by
seed and has the 95 % interval of the t distribution over seeds. One thread. ``--quick`` runs one seed of what takes
seconds, and stores nothing. ``--tune`` tries the settings of ``TRIALS`` on seed 0, stores the probe's accuracy on valid
of each, and writes the best to ``configs``. Valid is the mean of the folds within over all outer folds: one choice for
all folds, not nested, so that labels of every graph take part in it; the test score of no fold does.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from scipy.stats import t

from benchmarks.systems.machine import describe

HERE = Path(__file__).parent / "results"
CONFIGS = Path(__file__).parent.parent / "configs"
CELLS = HERE / "graph-ssl"
HEAD = "| method | graph | protocol | seeds | accuracy | published | bar | untrained | difference | epochs | seconds |"


@dataclass(frozen=True)
class Row:
    """A method on a graph; ``published`` and ``bar`` are accuracies, the bar the least that should be reached."""

    method: str
    graph: str
    published: str = ""
    bar: float | None = None
    seeds: int = 5
    label: str = ""
    model: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the row is called."""
        return f"{self.label or self.method}-{self.graph}"

    @property
    def paired(self) -> bool:
        """Whether it stands beside an untrained encoder."""
        return self.graph in ("mutag", "ptc-mr", "nci1", "imdb-binary")


MACL = {"objective": {"name": "MACL", "temperature": 0.1, "alpha": 0.5}}
GRAPH_LEVEL = {
    "mutag": (("86.80 ± 1.34", 85.5), ("89.04", 85.5), ("89.01 ± 1.13", 86.5), ("89.25 ± 1.45", None)),
    "ptc-mr": (("", None), ("", None), ("", None), ("", None)),
    "imdb-binary": (("71.14 ± 0.44", None), ("71.42", None), ("73.03 ± 0.87", None), ("71.57 ± 1.01", 70.0)),
    "nci1": (("77.87 ± 0.41", 76.5), ("78.41", None), ("76.20 ± 1.06", None), ("69.67 ± 0.51", None)),
}
KINDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("GraphCL", "", {}), ("GraphCL", "GraphCL+MACL", MACL), ("InfoGraph", "", {}), ("ADGCL", "", {}),
)  # fmt: skip
ROWS = [
    Row("CCASSG", "cora", "84.2 ± 0.4", 83.5),
    Row("CCASSG", "citeseer", "73.1 ± 0.3", 72.3),
    Row("DGI", "cora", "82.3 ± 0.6", 81.5),
    Row("GRACE", "cora", "83.3 ± 0.4", 82.5),
    *(
        Row(method, graph, *told, label=label, model=model)
        for graph, figures in GRAPH_LEVEL.items()
        for (method, label, model), told in zip(KINDS, figures, strict=True)
    ),
    Row("CCASSG", "amazon-photo", "93.14 ± 0.14", 92.4),
    Row("CCASSG", "amazon-computers", "88.74 ± 0.28", 88.0),
    Row("BGRL", "amazon-photo", "93.17 ± 0.30", 91.8),
    Row("CCASSG", "coauthor-physics", "95.38 ± 0.06", None, seeds=1),
]

TRIALS: dict[str, list[dict[str, Any]]] = {
    "InfoGraph": [
        {"model": {"layers": layers}, "train": {"lr": lr, "epochs": epochs, "batch_size": 128}}
        for layers in (3, 5)
        for lr in (0.01, 0.001, 0.0001)
        for epochs in (10, 20, 100)
    ],
    "ADGCL": [
        {"model": {"budget": budget}, "train": {"lr": 0.001, "epochs": epochs, "batch_size": 32}}
        for budget in (1.0, 2.0, 5.0, 10.0)
        for epochs in (20, 40, 150)
    ],
}
"""What is tried by method: for InfoGraph the grid of its paper, for AD-GCL the two that its paper chooses on valid."""


def tune(row: Row) -> None:
    """Store what every trial reaches on valid, and write the settings of the best."""
    from gcl.training.pretrain_config import resolve
    from gcl.training.pretrained import pretrain_resolved

    told = []
    for trial in TRIALS[row.method]:
        config = resolve(row.method, row.graph, {**trial, "model": {**row.model, **trial.get("model", {})}}, plain=True)
        with tempfile.TemporaryDirectory() as folder:
            done = pretrain_resolved(config, row.graph, seed=0, device="cpu", out=Path(folder) / "run", progress=False)
        told.append({"settings": trial, "valid": done.result["details"]["valid"]})
        print(row.name, trial, round(told[-1]["valid"], 2), flush=True)
    best = max(told, key=lambda t: t["valid"])["settings"]
    (CELLS / f"tuned-{row.name}.json").write_text(json.dumps(told, indent=1) + "\n")
    file = CONFIGS / row.method.lower() / f"{row.graph}.yaml"
    told_by = f"the {len(told)} trials of benchmarks/graph_ssl.py, one choice for all folds"
    head = f"# Chosen by the probe's folds within train among {told_by}.\n"
    file.write_text(head + yaml.safe_dump(best, sort_keys=False))


def measure(row: Row, seed: int) -> dict[str, Any]:
    """Train, probe, and probe the encoder as it began where the row asks for it."""
    from gcl.data.graphs import load_graphs
    from gcl.evaluation.probes import ProbeSettings, probe
    from gcl.training.pretrain_config import resolve
    from gcl.training.pretrained import make, pretrain_resolved
    from gcl.training.pretraining import embed

    config = resolve(row.method, row.graph, {"model": row.model})
    cell: dict[str, Any] = {"row": row.name, "seed": seed}
    if row.paired:
        graphs = load_graphs(row.graph, **config.data)
        z = embed(make(config, graphs, seed), graphs, torch.device("cpu"))
        cell["untrained"] = probe(z, graphs, ProbeSettings(**config.probe), seed).accuracy
    with tempfile.TemporaryDirectory() as folder:
        done = pretrain_resolved(config, row.graph, seed=seed, device="cpu", out=Path(folder) / "run", progress=False)
        kept = ("accuracy", "protocol", "values", "epochs", "seconds", "probe_seconds", "peak_mb")
        cell |= {name: done.result[name] for name in kept}
        if row.method == "ADGCL":
            cell["keep"] = kept_edges(done)
    return {**cell, "config": {s: getattr(config, s) for s in ("model", "data", "train", "probe")}}


def kept_edges(done: Any) -> float:
    """Mean probability that an edge passes, at the end."""
    from torch_geometric.data import Batch

    return float(done.method.report(Batch.from_data_list(list(done.graphs.graphs)))["keep"])


def spread(values: list[float]) -> str:
    """Mean and standard deviation (n - 1)."""
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{deviation}"


def interval(differences: list[float]) -> str:
    """Mean and 95 % interval of paired differences."""
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return f"{mean:+.2f}"
    half = float(t.ppf(0.975, len(differences) - 1)) * statistics.stdev(differences) / len(differences) ** 0.5
    return f"{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}]"


def line(row: Row, cells: list[dict[str, Any]]) -> str:
    """One row of the table."""
    values = [c["accuracy"] for c in cells]
    bar = "" if row.bar is None else f"{row.bar:g}: {'met' if statistics.fmean(values) >= row.bar else 'missed'}"
    untrained = [c["untrained"] for c in cells] if row.paired else []
    apart = interval([c["accuracy"] - c["untrained"] for c in cells]) if untrained else ""
    seconds = statistics.median(c["seconds"] for c in cells)
    columns = [row.label or row.method, row.graph, cells[0]["protocol"], str(len(cells)), spread(values)]
    columns += [row.published, bar, spread(untrained) if untrained else "", apart]
    columns += [str(cells[0]["epochs"]), f"{seconds:.0f}"]
    return f"| {' | '.join(columns)} |"


def table() -> str:
    """All rows that have a cell, as markdown."""
    lines = [HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
    for row in ROWS:
        cells = [json.loads(p.read_text()) for p in sorted(CELLS.glob(f"{row.name}-[0-9]*.json"))]
        if cells:
            lines.append(line(row, cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="names of rows, such as CCASSG-cora")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tune", metavar="ROW")
    options = parser.parse_args()
    torch.set_num_threads(1)
    unknown = set(options.only or []) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in ROWS)}")
    if options.tune:
        tunable = {row.name: row for row in ROWS if row.method in TRIALS}
        if options.tune not in tunable:
            parser.error(f"--tune knows {', '.join(tunable)}, got {options.tune}")
        tune(tunable[options.tune])
        return
    if options.quick:
        print(measure(next(row for row in ROWS if row.name == "InfoGraph-mutag"), 0), flush=True)
        return
    CELLS.mkdir(parents=True, exist_ok=True)
    for row in ROWS:
        for seed in range(min(options.seeds, row.seeds)):
            file = CELLS / f"{row.name}-{seed}.json"
            if file.exists() or (options.only and row.name not in options.only):
                continue
            began = time.process_time()
            cell = {**measure(row, seed), "cpu_seconds": round(time.process_time() - began, 1), "machine": describe()}
            file.write_text(json.dumps(cell, indent=1) + "\n")
            print(row.name, seed, round(cell["accuracy"], 2), cell.get("untrained"), cell["cpu_seconds"], flush=True)
            (HERE / "graph-ssl.md").write_text(table() + "\n")
    (HERE / "graph-ssl.md").write_text(table() + "\n")


if __name__ == "__main__":
    main()
