"""An epoch of gcl's multimodal recommenders beside MMRec's: CPU seconds on one thread, and peak memory, on ml-100k.

    GCL_DATA=... python -m benchmarks.multimodal --mmrec CHECKOUT [--only BM3,MGCN] [--quick]

Each system runs its own training loop on its own loader and sampler, in a process of its own; rounds alternate, and
medians are compared. Same rows, same features (text and attributes of the data set's card), batch 2048, width 64, Adam,
features trained as MMRec does. A round is an epoch from its shuffling to its last step. Without ``--mmrec`` gcl runs
alone.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.systems.machine import caption, commit, describe, quiet
from benchmarks.systems.rounds import ONE_THREAD, ROOT, Worker, interleave

RESULTS = Path(__file__).parent / "results"
SIZES = {"dim": 64, "batch_size": 2048}
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "VBPR": ({"reg": 0.01}, {"reg_weight": 0.01}),
    "BM3": ({"layers": 1, "dropout": 0.5, "reg": 0.1}, {"n_layers": 1, "dropout": 0.5, "reg_weight": 0.1}),
    "FREEDOM": ({"layers": 2, "drop": 0.8, "reg": 1e-3}, {"dropout": 0.8, "reg_weight": 1e-3}),
    "MGCN": ({"layers": 2, "weight": 0.01}, {"cl_loss": 0.01}),
}
"""Model -> its settings in gcl, and in MMRec; settings not named are equal by default."""
OURS = ("MambaRec", "SIGER")
"""Models that MMRec has not."""


def row(model: str, worker: Worker) -> dict[str, Any]:
    """Median CPU seconds of an epoch."""
    seconds = [ticks[-1] - ticks[0] for ticks in worker.rounds]
    out = {"model": model, "system": worker.job["system"], "epoch_s": statistics.median(seconds)}
    return {**out, "rounds_s": seconds, "peak_mb": round(worker.peak_mb)}


def measured(model: str, checkout: str | None, folder: Path, total: int, rounds: int) -> list[dict[str, Any]]:
    """Both systems beside each other, or gcl alone."""
    ours, theirs = MODELS.get(model, ({}, {}))
    common = {"task": "train", "dataset": "ml-100k", "model": model, **SIZES}
    common["steps"] = math.ceil(total / SIZES["batch_size"])
    jobs = [{**common, "system": "gcl", "options": ours}]
    if checkout and model in MODELS:
        jobs.append({**common, "system": "mmrec", "checkout": checkout, "files": str(folder), "peer": theirs})
    return [row(model, worker) for worker in interleave(jobs, rounds)]


def table(rows: list[dict[str, Any]]) -> str:
    """Every system's epoch and the ratio to gcl's, as markdown."""
    lines = ["| model | system | CPU s an epoch | peak MiB | times gcl |", "|" + "---|" * 5]
    base = {r["model"]: r["epoch_s"] for r in rows if r["system"] == "gcl"}
    for r in rows:
        times = "" if r["system"] == "gcl" else f"{r['epoch_s'] / base[r['model']]:.1f}"
        name = {"gcl": "gcl", "mmrec": "MMRec"}[r["system"]]
        lines.append(f"| {r['model']} | {name} | {r['epoch_s']:.2f} | {r['peak_mb']} | {times} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mmrec", help="a checkout of MMRec")
    parser.add_argument("--only", default="", help="comma-separated models")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wait", type=float, default=10, help="minutes to wait at most for a quiet machine")
    parser.add_argument("--quick", action="store_true", help="one round, nothing is stored")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [*MODELS, *OURS]
    if set(wanted) - {*MODELS, *OURS}:
        parser.error(f"--only knows {', '.join((*MODELS, *OURS))}")
    if not options.quick:
        quiet(minutes=options.wait)
    machine, rows = describe(), []
    checkout = str(Path(options.mmrec).resolve()) if options.mmrec else None
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "mmrec"
        command = [sys.executable, "-m", "benchmarks.systems.mmrec", "ml-100k", str(folder)]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, check=True)
        total = int(done.stdout.split()[-1])
        for model in wanted:
            found = measured(model, checkout, folder, total, 1 if options.quick else options.rounds)
            print(table(found), flush=True)
            rows += found
    if options.quick or not checkout or options.only:
        print("not stored: only a full run beside MMRec is", flush=True)
        return
    RESULTS.mkdir(exist_ok=True)
    stored = {"sizes": SIZES, "rounds": options.rounds, "machine": machine, "commit": commit(checkout), "rows": rows}
    (RESULTS / "multimodal.json").write_text(json.dumps(stored, indent=1) + "\n")
    (RESULTS / "multimodal.md").write_text(f"{table(rows)}\n\n{caption(machine)}\n")


if __name__ == "__main__":
    main()
