"""Training of sequential models beside SELFRec and RecBole: CPU time per 1,000 targets on Beauty, one thread.

    GCL_DATA=... python -m benchmarks.sequential [--selfrec CHECKOUT] [--only NAME] [--reach] [--quick]

A target is an item that is predicted. Every system runs its own training loop in a process of its own, and rounds
alternate between the systems. gcl with ``all`` and SELFRec predict at every position of a user's row, RecBole and gcl
with ``prefix`` make a row of every prefix. Of gcl with ``all`` a round is a whole epoch; else some steps in its midst.

``--reach`` measures instead the time to the NDCG@10 on ml-100k's valid part that one epoch of RecBole's SASRec reaches;
RecBole's epoch takes minutes and is measured once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.systems.machine import caption, commit, describe, installed
from benchmarks.systems.rounds import ONE_THREAD, ROOT, Worker, interleave

RESULTS = Path(__file__).parent / "results"
FILE = RESULTS / "sequential.json"
NAMES = {"gcl": "gcl", "selfrec": "SELFRec", "recbole": "RecBole"}
WARM = 1
SEEDS = (0, 1, 2)
SAMPLED = {"loss": "sampled", "negatives": 256}
PREFIX = {"loss": "softmax", "targets": "prefix"}
NARROW = {"heads": 1, "inner": 64, "dropout": 0.2}
CROPS = {"views": [{"name": "Crop", "ratio": 0.5}]}


class Entry(NamedTuple):
    """One system in one run; ``steps`` 0: a whole epoch."""

    system: str
    loss: str
    rows: str
    batch_size: int
    steps: int = 0
    options: dict[str, Any] = {}
    bar: float | None = None


RUNS: dict[str, list[Entry]] = {
    "SASRec, 1 head, inner 64": [
        Entry("gcl", "256 shared", "all", 256, options=SAMPLED | NARROW),
        Entry("gcl", "BCE, 1 a target", "all", 256, options={"loss": "bce", "negatives": 1} | NARROW),
        Entry("selfrec", "BCE, 1 a target", "selfrec", 256, WARM + 8),
    ],
    "CL4SRec, 1 head, inner 64": [
        Entry("gcl", "256 shared", "all", 256, options=SAMPLED | NARROW | CROPS),
        Entry("selfrec", "BCE, 1 a target", "selfrec", 256, WARM + 4),
    ],
    "SASRec, 2 heads, inner 256": [
        Entry("gcl", "256 shared", "all", 256, options=SAMPLED, bar=15),
        Entry("gcl", "all items", "all", 256, options={"loss": "softmax"}),
        Entry("gcl", "all items", "prefix", 2048, WARM + 6, options=PREFIX),
        Entry("recbole", "all items", "prefix", 2048, WARM + 1),
    ],
    "CL4SRec, 2 heads, inner 256": [Entry("gcl", "256 shared", "all", 256, options=SAMPLED, bar=45)],
    "GRU4Rec, hidden 128": [
        Entry("gcl", "256 shared", "all", 256, options=SAMPLED),
        Entry("gcl", "all items", "prefix", 2048, WARM + 6, options=PREFIX),
        Entry("recbole", "all items", "prefix", 2048, WARM + 2),
    ],
}  # fmt: skip
"""What is measured: shapes of SELFRec, then those of RecBole, which are gcl's defaults."""


def module(name: str, *arguments: str, nice: int = 0) -> dict[str, Any]:
    """The JSON that a module of ``benchmarks.systems`` prints last."""
    command = ["nice", "-n", str(nice), sys.executable, "-m", f"benchmarks.systems.{name}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def milliseconds(entry: Entry, worker: Worker, targets: dict[str, int], users: int) -> list[float]:
    """CPU milliseconds per 1,000 targets of every round."""
    if not entry.steps:
        return [1e6 * (ticks[-1] - ticks[0]) / targets[entry.rows] for ticks in worker.rounds]
    a_step = entry.batch_size * (targets["selfrec"] / users if entry.rows == "selfrec" else 1)
    return [1e6 * (ticks[-1] - ticks[WARM]) / (entry.steps - WARM) / a_step for ticks in worker.rounds]


def measured(
    run: str, folder: Path, checkout: str | None, targets: dict[str, int], rounds: int
) -> list[dict[str, Any]]:
    """All systems of one run beside each other."""
    users = targets["users"]
    entries = [e for e in RUNS[run] if e.system == "gcl" or (folder / e.system).exists()]
    jobs = []
    for e in entries:
        layers = 1 if run.startswith("GRU4Rec") else 2
        options = {**e.options} if e.system == "gcl" else {}
        jobs.append({
            "system": e.system, "task": "train" if e.system == "gcl" else "train_sequences", "dataset": "beauty",
            "model": run.split(",")[0], "layers": layers, "dim": 64, "batch_size": e.batch_size, "options": options,
            "steps": e.steps or -(-users // e.batch_size), "files": f"{folder}/{e.system}", "checkout": checkout,
        })  # fmt: skip
    workers = interleave(jobs, rounds)
    return [
        {"run": run, "system": e.system, "loss": e.loss, "rows": "all" if e.rows == "selfrec" else e.rows,
         "batch_size": e.batch_size, "bar": e.bar, "ms": statistics.median(times), "rounds_ms": times,
         "peak_mb": round(w.peak_mb)}
        for e, w in zip(entries, workers, strict=True)
        for times in [milliseconds(e, w, targets, users)]
    ]  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Milliseconds per 1,000 targets; the peer's ratio is to the first row of gcl in the run, and to the like one."""
    head = ["model", "system", "candidates", "rows", "batch", "CPU ms per 1,000 targets", "bar", "times gcl"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for r in rows:
        ours = [o for o in rows if o["run"] == r["run"] and o["system"] == "gcl"]
        alike = [o for o in ours if (o["loss"], o["rows"]) == (r["loss"], r["rows"])]
        times = ""
        if r["system"] != "gcl" and ours:
            times = f"{r['ms'] / ours[0]['ms']:.1f}" + (
                f" ({r['ms'] / alike[0]['ms']:.1f} like for like)" if alike else ""
            )
        cells = [r["run"], NAMES[r["system"]], r["loss"], r["rows"], str(r["batch_size"]), f"{r['ms']:.1f}"]
        lines.append(f"| {' | '.join([*cells, str(r['bar'] or ''), times])} |")
    return "\n".join(lines)


def reached(found: dict[str, Any]) -> str:
    """One paragraph on the time to RecBole's first epoch."""
    theirs, seconds = found["recbole"], [run["seconds"] for run in found["gcl"]]
    epochs = [len(run["curve"]) for run in found["gcl"]]
    return (
        "ml-100k, leave-one-out, all items ranked, SASRec with full softmax: an epoch of RecBole "
        f"({theirs['batches']} steps) takes {theirs['seconds']:.0f} CPU s and reaches NDCG@10 {theirs['ndcg@10']:.4f} "
        "on valid; gcl is there "
        f"after {min(epochs)} to {max(epochs)} epochs and {statistics.median(seconds):.1f} CPU s (median of "
        f"{len(seconds)} seeds: {', '.join(f'{s:.1f}' for s in seconds)}), its evaluations included: "
        f"{theirs['seconds'] / statistics.median(seconds):.0f} times sooner."
    )


def store(**found: Any) -> None:
    """Keep what was found beside what is stored, and write the tables of all."""
    kept = json.loads(FILE.read_text()) if FILE.exists() else {"runs": {}}
    kept["runs"] |= found.pop("runs", {})
    kept |= found
    RESULTS.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(kept, indent=1) + "\n")
    runs = [kept["runs"][name] for name in RUNS if name in kept["runs"]]
    parts = [table([row for run in runs for row in run["rows"]])]
    if runs:
        loads = [run["machine"]["load"] for run in runs]
        parts.append(caption({**runs[-1]["machine"], "load": f"{min(loads)} to {max(loads)}"}))
    parts += [reached(kept["reach"])] if "reach" in kept else []
    FILE.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


def reach(theirs: Path | None) -> None:
    """RecBole's epoch, unless it is in a file already, and gcl's way to its metric."""
    machine = describe()
    with tempfile.TemporaryDirectory() as folder:
        if theirs is None:
            module("sequences", "ml-100k", folder, "recbole")
            found = module("reach", "recbole", f"{folder}/recbole", nice=10)
        else:
            found = json.loads(theirs.read_text().splitlines()[-1])
    ours = [module("reach", "gcl", str(found["ndcg@10"]), str(seed)) for seed in SEEDS]
    store(reach={"recbole": found, "gcl": ours, "machine": machine})
    print(reached({"recbole": found, "gcl": ours}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--selfrec", help="a checkout of SELFRec")
    parser.add_argument("--only", default="", help=f"semicolon-separated runs: {'; '.join(RUNS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reach", action="store_true", help="time to the metric of RecBole's first epoch")
    parser.add_argument("--recbole-epoch", type=Path, help="what `benchmarks.systems.reach recbole` printed before")
    parser.add_argument("--quick", action="store_true", help="one round, nothing is stored")
    options = parser.parse_args()
    if options.reach:
        reach(options.recbole_epoch)
        return
    wanted = [name.strip() for name in options.only.split(";")] if options.only else list(RUNS)
    if set(wanted) - set(RUNS):
        parser.error(f"--only knows {'; '.join(RUNS)}")
    checkout = str(Path(options.selfrec).resolve()) if options.selfrec else None
    peers = [name for name, there in (("selfrec", checkout), ("recbole", installed("recbole"))) if there]
    for name in sorted({"selfrec", "recbole"} - set(peers)):
        print(f"{NAMES[name]} is skipped: no --selfrec checkout, or not installed", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        targets = module("sequences", "beauty", folder, *peers)
        for run in wanted:
            machine = describe()
            rows = measured(run, Path(folder), checkout, targets, 1 if options.quick else options.rounds)
            print(table(rows), flush=True)
            if not options.quick and {e.system for e in RUNS[run]} <= {"gcl", *peers}:
                found = {"rounds": options.rounds, "machine": machine, "rows": rows}
                store(runs={run: found | ({"selfrec": commit(checkout)} if checkout else {})})


if __name__ == "__main__":
    main()
