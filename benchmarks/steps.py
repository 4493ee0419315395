"""Training steps of gcl beside SELFRec, RecBole and SSLRec: CPU time on one thread, and peak memory.

    GCL_DATA=... python -m benchmarks.steps [--selfrec CHECKOUT] [--sslrec CHECKOUT] [--only gowalla/SGL] [--quick]

Every system runs its own training loop on its own loader and sampler, in a process of its own; rounds alternate between
the systems, and medians are compared. All train on the same rows with batch 2048, width 64, 2 layers, Adam.

A round begins an epoch: a *step* is the time from the end of one optimiser step to the end of the next, the first two
left out; *with epoch* adds what the epoch does once (shuffling, negatives, SELFRec's two graphs for SGL), divided by
its number of steps. On ml-100k a round is a whole epoch.
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

from benchmarks.systems.machine import caption, commit, describe, installed, quiet
from benchmarks.systems.rounds import ONE_THREAD, ROOT, Worker, interleave

RESULTS = Path(__file__).parent / "results"
SETTINGS = {"batch_size": 2048, "dim": 64, "layers": 2}
WARM = 2
ALL = {"candidates": "all"}
BATCHWISE = {"candidates": "batch"}
RUNS: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "gowalla/LightGCN": [("gcl", "", {}), ("selfrec", "", {}), ("recbole", "", {}), ("sslrec", "", {})],
    "gowalla/SGL": [
        ("gcl", "in batch", BATCHWISE), ("selfrec", "in batch", {}), ("gcl", "all", ALL), ("sslrec", "all", {}),
    ],
    "gowalla/SimGCL": [
        ("gcl", "in batch", BATCHWISE), ("selfrec", "in batch", {}), ("gcl", "all", ALL), ("sslrec", "all", {}),
    ],
    "gowalla/XSimGCL": [("gcl", "in batch", {}), ("selfrec", "in batch", {})],
    "ml-100k/LightGCN": [("gcl", "", {}), ("selfrec", "", {}), ("recbole", "", {})],
    "ml-100k/SimGCL": [("gcl", "in batch", BATCHWISE), ("selfrec", "in batch", {})],
}  # fmt: skip
"""What is measured; the second entry is against whom a contrast is drawn: the batch, or all users and all items."""
TARGETS = {
    ("gowalla/LightGCN", "selfrec"): 3.0,
    ("gowalla/LightGCN", "recbole"): 4.0,
    ("gowalla/SGL", "selfrec"): 3.0,
    ("gowalla/SimGCL", "selfrec"): 3.0,
    ("gowalla/XSimGCL", "selfrec"): 2.2,
    ("ml-100k/LightGCN", "recbole"): 2.5,
}
NAMES = {"gcl": "gcl", "selfrec": "SELFRec", "sslrec": "SSLRec", "recbole": "RecBole"}


def written(dataset: str, folder: Path, systems: list[str]) -> int:
    """Write the files of the peers; the number of train rows."""
    command = [sys.executable, "-m", "benchmarks.systems.files", dataset, str(folder), *systems]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, check=True)
    return int(done.stdout.split()[-1])


def row(run: str, contrast: str, worker: Worker, batches: int, whole: bool) -> dict[str, Any]:
    """Medians of one system: milliseconds a step, or seconds an epoch."""
    out = {"run": run, "system": worker.job["system"], "contrast": contrast, "peak_mb": round(worker.peak_mb)}
    if whole:
        seconds = [ticks[-1] - ticks[0] for ticks in worker.rounds]
        return out | {"epoch_s": statistics.median(seconds), "rounds_s": seconds}
    step = [[b - a for a, b in zip(ticks[WARM:], ticks[WARM + 1 :], strict=False)] for ticks in worker.rounds]
    middle = statistics.median(value for values in step for value in values)
    once = statistics.median(max(ticks[1] - ticks[0] - middle, 0.0) for ticks in worker.rounds)
    return out | {
        "step_ms": 1000 * middle,
        "epoch_once_ms": 1000 * once,
        "step_and_epoch_ms": 1000 * (middle + once / batches),
        "rounds_ms": [1000 * statistics.median(values) for values in step],
    }


def absent(checkouts: dict[str, str]) -> dict[str, str]:
    """Systems and data sets that cannot be measured here, and why."""
    why = {name: f"--{name} names no checkout" for name in ("selfrec", "sslrec") if name not in checkouts}
    if not installed("recbole"):
        why["recbole"] = "the package is not installed"
    if not os.environ.get("GCL_DATA"):
        why["gowalla"] = "GCL_DATA names no data folder"
    return why


def measured(
    run: str, checkouts: dict[str, str], missing: dict[str, str], rounds: int, steps: int
) -> list[dict[str, Any]]:
    """All systems of one run beside each other."""
    dataset, model = run.split("/")
    entries = [entry for entry in RUNS[run] if entry[0] not in missing]
    with tempfile.TemporaryDirectory() as folder:
        total = written(dataset, Path(folder), sorted({e[0] for e in entries} - {"gcl"}))
        batches, whole = math.ceil(total / SETTINGS["batch_size"]), dataset == "ml-100k"
        common = {"task": "train", "dataset": dataset, "model": model, **SETTINGS}
        jobs = [
            {**common, "system": system, "files": f"{folder}/{system}", "checkout": checkouts.get(system), "options": o,
             "steps": batches if whole else WARM + steps}
            for system, _, o in entries
        ]  # fmt: skip
        workers = interleave(jobs, rounds)
    return [row(run, e[1], worker, batches, whole) for e, worker in zip(entries, workers, strict=True)]


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times the CPU time of gcl a peer takes, by equal run and equal contrast."""
    out = []
    for ours in (r for r in rows if r["system"] == "gcl"):
        for peer in (r for r in rows if r["system"] != "gcl" and r["run"] == ours["run"]):
            if peer["contrast"] != ours["contrast"]:
                continue
            keys = ["epoch_s"] if "epoch_s" in ours else ["step_ms", "step_and_epoch_ms"]
            times = {key: peer[key] / ours[key] for key in keys}
            target = TARGETS.get((ours["run"], peer["system"]))
            out.append({"run": ours["run"], "peer": peer["system"], **times, "target": target})
    return out


def table(rows: list[dict[str, Any]]) -> str:
    """Both numbers of every system and the ratio to gcl's, as markdown."""
    known = {(r["run"], r["peer"]): r for r in ratios(rows)}
    lines = ["| run | contrast | system | CPU time | with epoch | peak MiB | times gcl | target |", "|" + "---|" * 8]
    for r in rows:
        whole = "epoch_s" in r
        time = f"{r['epoch_s']:.2f} s an epoch" if whole else f"{r['step_ms']:.0f} ms a step"
        with_epoch = "" if whole else f"{r['step_and_epoch_ms']:.0f} ms"
        ratio = known.get((r["run"], r["system"]), {})
        times = f"{ratio['epoch_s' if whole else 'step_ms']:.1f}" if ratio else ""
        target = f"{ratio['target']:g}" if ratio.get("target") else ""
        cells = [r["run"], r["contrast"], NAMES[r["system"]], time, with_epoch, str(r["peak_mb"]), times, target]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def store(run: str, found: dict[str, Any]) -> None:
    """Keep one run beside the others that are stored, and write the table of all."""
    file = RESULTS / "steps.json"
    known = json.loads(file.read_text())["runs"] if file.exists() else {}
    known[run] = found
    runs = {name: known[name] for name in RUNS if name in known}
    RESULTS.mkdir(exist_ok=True)
    file.write_text(json.dumps({"settings": SETTINGS, "runs": runs}, indent=1) + "\n")
    loads = [kept["machine"]["load"] for kept in runs.values()]
    text = table([row for kept in runs.values() for row in kept["rows"]])
    load = f"{min(loads)} to {max(loads)}" if len(loads) > 1 else loads[0]
    file.with_suffix(".md").write_text(f"{text}\n\n{caption({**found['machine'], 'load': load})}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--selfrec", help="a checkout of SELFRec")
    parser.add_argument("--sslrec", help="a checkout of SSLRec")
    parser.add_argument("--only", default="", help="comma-separated runs, for instance gowalla/LightGCN")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="measured steps a round on gowalla")
    parser.add_argument("--wait", type=float, default=10, help="minutes to wait at most for a quiet machine")
    parser.add_argument("--quick", action="store_true", help="two rounds, nothing is stored")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else list(RUNS)
    if set(wanted) - set(RUNS):
        parser.error(f"--only knows {', '.join(RUNS)}")
    checkouts = {name: str(Path(path).resolve()) for name in ("selfrec", "sslrec") if (path := getattr(options, name))}
    missing = absent(checkouts)
    for name, reason in missing.items():
        print(f"{NAMES.get(name, name)} is skipped: {reason}", flush=True)
    if not options.quick:
        quiet(minutes=options.wait)
    for run in (run for run in wanted if run.split("/")[0] not in missing):
        machine = describe()
        rows = measured(run, checkouts, missing, 2 if options.quick else options.rounds, options.steps)
        print(table(rows), flush=True)
        if options.quick or {entry[0] for entry in RUNS[run]} & set(missing):
            print("not stored: only a full run of every system is", flush=True)
            continue
        commits = {NAMES[name]: commit(path) for name, path in checkouts.items()}
        taken = {"rounds": options.rounds, "steps": options.steps, "machine": machine, "commits": commits}
        store(run, {**taken, "rows": rows, "ratios": ratios(rows)})


if __name__ == "__main__":
    main()
