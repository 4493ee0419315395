"""GRACE and its objective beside PyGCL's arithmetic in plain torch: time and extra memory.

    python -m benchmarks.graph_cost [--rounds 3] [--tasks infonce_task] [--quick]

Cases: an epoch of GRACE (two views, encoder, by messages of torch_geometric on the plain side, projector, NT-Xent,
backward) on Cora and on Amazon Computers, d = 128; NT-Xent alone, 2,708 and 10,000 rows, d = 256 (at 20,000 the plain
side needs more than 24 GB); and InfoNCE in one direction, 10,000 and 20,000 rows. The plain side keeps what PyGCL
keeps: the matrix of a direction, [N, 2N] for NT-Xent, float masks of its positives and negatives, exponentials. Without
the masks' extra negative, both have one value. One thread, CPU seconds, a process a side, rounds in turns, medians;
extra memory is the peak of the process beyond what it held before.
``--quick`` runs Cora and 2,708 rows for one round and stores nothing.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch

from benchmarks.systems.machine import describe, quiet
from benchmarks.systems.rounds import interleave

RESULTS = Path(__file__).parent / "results"
CASES: list[dict[str, Any]] = [
    {"task": "loss_task", "rows": 2708, "dim": 256},
    {"task": "epoch_task", "graph": "cora", "dim": 128},
    {"task": "loss_task", "rows": 10_000, "dim": 256},
    {"task": "epoch_task", "graph": "amazon-computers", "dim": 128},
    {"task": "infonce_task", "rows": 10_000, "dim": 256},
    {"task": "infonce_task", "rows": 20_000, "dim": 256},
]
NAMES = {"loss_task": "NT-Xent", "infonce_task": "InfoNCE"}
SIDES = ("gcl", "plain")


def measure(case: dict[str, Any], rounds: int) -> list[dict[str, Any]]:
    """Seconds and extra memory of both sides."""
    jobs = [{"system": "grace", "steps": 0, "side": side, **case} for side in SIDES]
    found = []
    for side, worker in zip(SIDES, interleave(jobs, rounds), strict=True):
        taken = [ticks[-1] - ticks[0] for ticks in worker.rounds]
        extra = worker.peak_mb - worker.ready["prepared_mb"]
        found.append({"side": side, "seconds": statistics.median(taken), "extra_mb": round(extra), "rounds": taken})
    return found


def table(results: list[dict[str, Any]]) -> str:
    """Seconds, memory and ratios to gcl, as markdown."""
    lines = ["| case | side | CPU s | times gcl | extra MiB | times gcl |", "|" + "---|" * 6]
    for case in results:
        name = case.get("graph") or f"{NAMES[case['task']]}, {case['rows']:,} rows"
        first = case["sides"][0]
        for side in case["sides"]:
            times, memory = side["seconds"] / first["seconds"], side["extra_mb"] / max(first["extra_mb"], 1)
            cells = [
                name,
                side["side"],
                f"{side['seconds']:.2f}",
                f"{times:.1f}",
                str(side["extra_mb"]),
                f"{memory:.1f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def place(result: dict[str, Any]) -> int:
    """Where the case of a result stands in the table."""
    return next(at for at, case in enumerate(CASES) if all(result.get(k) == v for k, v in case.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--tasks", nargs="*", choices=sorted({case["task"] for case in CASES}), help="these, others kept"
    )
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.quick:
        quiet()
    stored = RESULTS / "graph-cost.json"
    before = json.loads(stored.read_text()) if stored.exists() else []
    for case in CASES[:2] if options.quick else CASES:
        if options.tasks and case["task"] not in options.tasks:
            continue
        found = {**case, "machine": describe(), "sides": measure(case, 1 if options.quick else options.rounds)}
        print(table([found]), flush=True)
        if not options.quick:
            before = sorted([*(r for r in before if place(r) != place(found)), found], key=place)
            stored.write_text(json.dumps(before, indent=1) + "\n")
            stored.with_suffix(".md").write_text(table(before) + "\n")


if __name__ == "__main__":
    main()
