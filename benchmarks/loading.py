"""Loading a million interactions from a RecBole atomic file: gcl against RecBole's dataset, CPU time on one thread.

    python -m benchmarks.loading [--rows 1000000] [--quick]

The file is made here: distinct pairs of text ids, a rating and a timestamp, users and items drawn by skewed popularity.
gcl reads all four columns, gives ids, looks for repeated pairs and splits 8:1:1 by user. RecBole is measured twice:
``create_dataset`` (reads and gives ids, without a split), and with ``dataset.build()``, its 8:1:1 split by user.
Each side has a process of its own, rounds alternate; imports are not in the time.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.systems.machine import caption, describe, quiet
from benchmarks.systems.rounds import interleave

RESULTS = Path(__file__).parent / "results"
USERS, ITEMS = 50_000, 20_000
COLUMNS = ["user_id", "item_id", "rating", "timestamp"]
TARGET = 5.0
SIDES = {"gcl": {"system": "gcl"}, "RecBole": {"system": "recbole", "split": False}}
SIDES["RecBole with split"] = {"system": "recbole", "split": True}


def make(file: Path, rows: int) -> None:
    """An atomic file of distinct pairs."""
    rng = np.random.default_rng(0)
    pairs = np.empty(0, dtype=np.int64)
    while len(pairs) < rows:
        user = (USERS * rng.random(rows) ** 1.5).astype(np.int64)
        item = (ITEMS * rng.random(rows) ** 2.5).astype(np.int64)
        pairs = np.unique(np.concatenate([pairs, user * ITEMS + item]))
    pairs = rng.permutation(pairs)[:rows]
    rating, stamp = rng.integers(1, 6, rows), rng.integers(1_000_000_000, 1_100_000_000, rows)
    columns = zip((pairs // ITEMS).tolist(), (pairs % ITEMS).tolist(), rating.tolist(), stamp.tolist(), strict=True)
    with file.open("w") as out:
        out.write("user_id:token\titem_id:token\trating:float\ttimestamp:float\n")
        out.writelines(f"u{u}\ti{i}\t{r}\t{t}\n" for u, i, r, t in columns)


def table(sides: list[dict[str, Any]]) -> str:
    """Seconds, memory and the ratio to gcl, as markdown."""
    lines = ["| system | CPU seconds | peak MiB | times gcl |", "|---|---|---|---|"]
    ours = sides[0]["seconds"]
    for side in sides:
        cells = [side["name"], f"{side['seconds']:.2f}", str(side["peak_mb"]), f"{side['seconds'] / ours:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wait", type=float, default=10, help="minutes to wait at most for a quiet machine")
    parser.add_argument("--quick", action="store_true", help="two rounds, nothing is stored")
    options = parser.parse_args()
    if not options.quick:
        quiet(minutes=options.wait)
    machine = describe()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.inter"
        make(file, options.rows)
        common = {"task": "load", "steps": 0, "file": str(file), "columns": COLUMNS}
        workers = interleave([{**common, **side} for side in SIDES.values()], 2 if options.quick else options.rounds)
    sides = []
    for name, worker in zip(SIDES, workers, strict=True):
        seconds = [ticks[-1] - ticks[0] for ticks in worker.rounds]
        sides.append({"name": name, "seconds": statistics.median(seconds), "rounds": seconds})
        sides[-1]["peak_mb"] = round(worker.peak_mb)
    print(table(sides), flush=True)
    if options.quick:
        return
    RESULTS.mkdir(exist_ok=True)
    stored = {"machine": machine, "rows": options.rows, "target": TARGET, "sides": sides}
    (RESULTS / "loading.json").write_text(json.dumps(stored, indent=1) + "\n")
    (RESULTS / "loading.md").write_text(f"{table(sides)}\n\n{caption(machine)}\n")


if __name__ == "__main__":
    main()
