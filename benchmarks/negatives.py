"""Negatives of one epoch of gowalla: gcl's loader against RecBole's sampler.

    GCL_DATA=... python -m benchmarks.negatives [--rounds 5] [--quick]

810,128 interactions in batches of 2048; no negative is a train item of its user. gcl's side is the whole epoch of its
loader (permutation, negatives, slices of batches), RecBole's the calls of its sampler alone. One thread, CPU seconds, a
process a side, rounds in turns, medians. Memory: what a round takes at most beyond the prepared process, and in
brackets what that process holds.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks.systems.machine import describe, quiet
from benchmarks.systems.rounds import interleave

RESULTS = Path(__file__).parent / "results"
CASES = {
    "uniform, 1 a row": {"negatives": 1, "popularity": 0.0},
    "uniform, 4 a row": {"negatives": 4, "popularity": 0.0},
    "degree^0.75, 1 a row": {"negatives": 1, "popularity": 0.75},
}
SIDES = {"gcl": "gcl", "recbole": "RecBole"}
TARGET = 2.5


def table(cases: list[dict[str, Any]]) -> str:
    """Seconds, memory and ratios, as markdown."""
    lines = ["| negatives | gcl CPU s | RecBole CPU s | ratio | gcl MiB | RecBole MiB |", "|---|---|---|---|---|---|"]
    for case in cases:
        ours, theirs = case["sides"]["gcl"], case["sides"]["recbole"]
        cells = [case["name"], f"{ours['seconds']:.3f}", f"{theirs['seconds']:.3f}", f"{case['ratio']:.1f}"]
        memory = [f"{side['peak_mb']} ({side['held_mb']})" for side in (ours, theirs)]
        lines.append(f"| {' | '.join(cells + memory)} |")
    return "\n".join(lines)


def measured(setting: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Both sides of one case."""
    common = {"system": "sampling", "steps": 0, "batch_size": 2048, **setting}
    workers = interleave([{**common, "task": side} for side in SIDES], rounds)
    sides = {}
    for side, worker in zip(SIDES, workers, strict=True):
        seconds = [ticks[-1] - ticks[0] for ticks in worker.rounds]
        held = worker.ready["prepared_mb"]
        memory = {"peak_mb": round(worker.peak_mb - held), "held_mb": round(held)}
        sides[side] = {"seconds": statistics.median(seconds), "rounds": seconds, **memory}
    return {**setting, "sides": sides, "ratio": sides["recbole"]["seconds"] / sides["gcl"]["seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds, nothing is stored")
    options = parser.parse_args()
    if not options.quick:
        quiet()
    machine = describe()
    rounds = 2 if options.quick else options.rounds
    cases = [{"name": name, **measured(setting, rounds)} for name, setting in CASES.items()]
    print(table(cases), flush=True)
    if options.quick:
        return
    RESULTS.mkdir(exist_ok=True)
    stored = {"machine": machine, "dataset": "gowalla", "batch_size": 2048, "threads": 1, "target": TARGET}
    (RESULTS / "negatives.json").write_text(json.dumps({**stored, "cases": cases}, indent=1) + "\n")
    (RESULTS / "negatives.md").write_text(table(cases) + "\n")


if __name__ == "__main__":
    main()
