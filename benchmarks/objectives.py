"""Contrastive losses beside stored matrices, PyGCL, lightly and pytorch-metric-learning: time and memory.

    python -m benchmarks.objectives [--rounds 3] [--rows 2708 10000] [--quick]

Peers are measured where they can be imported (``pip install --no-deps --target FOLDER PyGCL lightly
pytorch-metric-learning``, and FOLDER on PYTHONPATH, is enough); the others are skipped with a line that says so.
Every case is stored when it is done; ``--rows`` measures some of them and keeps the others as they are stored. Forward
and backward, float32, one thread, CPU seconds, a process a side, rounds in turns, medians. Extra memory is the
peak of the process beyond what it held before the first round.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch

from benchmarks.systems.contrast import FORMS, pair, present
from benchmarks.systems.machine import describe, quiet
from benchmarks.systems.rounds import interleave

RESULTS = Path(__file__).parent / "results"
CASES: list[dict[str, Any]] = [
    {"layout": "cross", "rows": 8192, "dim": 64, "leave": ["PyGCL"]},
    {"layout": "cross", "rows": 65536, "dim": 64, "leave": ["gcl, matrix kept", "torch, two cross-entropies", "PyGCL"]},
    {"layout": "cross", "rows": 2708, "dim": 256, "leave": ["gcl, matrix kept"]},
    {"layout": "cross", "rows": 10000, "dim": 256, "leave": ["gcl, matrix kept"]},
    {"layout": "stacked", "rows": 2708, "dim": 256, "leave": ["pytorch-metric-learning"]},
    {"layout": "stacked", "rows": 10000, "dim": 256, "leave": ["pytorch-metric-learning", "PyGCL, intra-view"]},
]
"""What is measured; ``leave`` names what does not fit into the machine's memory or is no question here."""
TEMPERATURE = 0.2


def agree(layout: str) -> dict[str, float]:
    """Value of every form on a small pair, less gcl's."""
    a, b = (t.detach() for t in pair({"rows": 50, "dim": 16}))
    values = {name: float(make(TEMPERATURE)(a, b)) for name, make in FORMS[layout].items() if present(name)}
    return {name: value - values["gcl"] for name, value in values.items()}


def measure(case: dict[str, Any], rounds: int) -> list[dict[str, Any]]:
    """Seconds and extra memory of every form of one case."""
    names = [n for n in FORMS[case["layout"]] if n not in case["leave"] and present(n)]
    common = {"system": "contrast", "task": "contrast_task", "steps": 0, "temperature": TEMPERATURE}
    jobs = [{**common, "layout": case["layout"], "rows": case["rows"], "dim": case["dim"], "form": n} for n in names]
    sides: list[dict[str, Any]] = []
    for name, worker in zip(names, interleave(jobs, rounds), strict=True):
        taken = [ticks[-1] - ticks[0] for ticks in worker.rounds]
        extra = worker.peak_mb - worker.ready["prepared_mb"]
        side = {"form": name, "seconds": statistics.median(taken), "extra_mb": round(extra), "rounds": taken}
        first = sides[0] if sides else side
        sides.append({**side, "times": side["seconds"] / first["seconds"], "memory": extra / max(first["extra_mb"], 1)})
    return sides


def table(results: list[dict[str, Any]]) -> str:
    """Seconds, memory and ratios to gcl, as markdown."""
    lines = ["| layout | rows | d | form | CPU s | times gcl | extra MiB | times gcl |", "|" + "---|" * 8]
    for case in results:
        for side in case["sides"]:
            cells = [case["layout"], f"{case['rows']:,}", str(case["dim"]), side["form"], f"{side['seconds']:.2f}"]
            cells += [f"{side['times']:.1f}", str(side["extra_mb"]), f"{side['memory']:.1f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="*", help="measure the cases of these sizes only")
    parser.add_argument("--quick", action="store_true", help="one round of the small cases, nothing is stored")
    options = parser.parse_args()
    torch.set_num_threads(1)
    differences = {layout: agree(layout) for layout in FORMS}
    for layout, found in differences.items():
        for name in FORMS[layout]:
            note = f"{found[name]:+.1e} from gcl's value" if name in found else "cannot be imported: skipped"
            print(f"{layout}: {name}: {note}", flush=True)
    if not options.quick:
        quiet()
    for case in CASES:
        if (options.quick and case["rows"] > 5000) or (options.rows and case["rows"] not in options.rows):
            continue
        rounds = 1 if options.quick or case["rows"] > 50000 else options.rounds
        machine = describe()
        result = {**case, "machine": machine, "sides": measure(case, rounds)}
        print(table([result]), flush=True)
        if not options.quick:
            store(result, differences)


def store(result: dict[str, Any], differences: dict[str, dict[str, float]]) -> None:
    """Put a case in the place of the same one among those that are stored."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / "objectives.json"
    cases = json.loads(file.read_text())["cases"] if file.exists() else []
    known = {(c["layout"], c["rows"]): c for c in [*cases, result]}
    ordered = [known[key] for c in CASES if (key := (c["layout"], c["rows"])) in known]
    stored = {"temperature": TEMPERATURE, "differences": differences, "cases": ordered}
    file.write_text(json.dumps(stored, indent=1) + "\n")
    (RESULTS / "objectives.md").write_text(table(ordered) + "\n")


if __name__ == "__main__":
    main()
