"""Tune every method of a grid under one budget on valid, train the winner with three seeds, write table and settings.

    python -m benchmarks.quality benchmarks/grids/ml-100k.yaml --runs runs/quality

Resumable: a finished run is not repeated, an interrupted one continues. Test is read once a final run, never to choose.
An entry of the grid is a model's name, or any name with the key ``model`` inside. With ``reference``, a name
or several, every entry is held against those, user by user on the means over the seeds.
"""

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml

from gcl.config import resolve
from gcl.evaluation import Evaluation, compare, holm
from gcl.training import fit_resolved, load_run, resume

RESULTS = Path(__file__).parent / "results"
CONFIGS = Path(__file__).parent.parent / "configs"
SHOWN = ("recall@10", "ndcg@10", "hit_rate@10", "mrr@10", "recall@20", "ndcg@20")


def run(grid: Mapping[str, Any], entry: str, settings: Mapping[str, Any], seed: int, folder: Path) -> dict[str, Any]:
    """The result of one run, trained now, continued, or read from its folder."""
    if (folder / "result.json").exists():
        return dict(load_run(folder).result)
    if (folder / "last").exists():
        return dict(resume(folder, progress=False).result)
    words = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    model = grid["models"][entry].get("model", entry)
    resolved = resolve(model, grid["dataset"], words, plain=True)
    done = fit_resolved(resolved, grid["dataset"], seed=seed, device="cpu", out=folder, progress=False)
    return dict(done.result)


def merged(*layers: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings of all layers, later ones first; None takes a setting away."""
    out: dict[str, Any] = {}
    for layer in layers:
        out.update(layer or {})
    return {key: value for key, value in out.items() if value is not None}


def tune(grid: Mapping[str, Any], model: str, runs: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The settings of the best trial on valid, and what every trial reached; those that are ``fixed``, untried."""
    entry, trials = grid["models"][model], []
    if "fixed" in entry:
        return dict(entry["fixed"]), trials
    for number, settings in enumerate(entry["trials"]):
        full = merged(grid["trial"], entry.get("trial"), settings)
        result = run(grid, model, full, 0, runs / f"{model}-trial{number}")
        value = result["metrics"]["valid"][grid["metric"]]
        trials.append({"settings": settings, grid["metric"]: value, "epochs": result["epochs"]})
        print(f"{model} trial {number}: valid {grid['metric']} {value:.4f} {settings}", flush=True)
    best = max(trials, key=lambda t: t[grid["metric"]])
    return best["settings"], trials


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested sections; bare keys belong to the model."""
    out: dict[str, Any] = {}
    for key, value in settings.items():
        path = key.split(".") if key.split(".")[0] in ("train", "evaluate", "data") else ["model", *key.split(".")]
        inside = out
        for part in path[:-1]:
            inside = inside.setdefault(part, {})
        inside[path[-1]] = value
    return out


def write_settings(grid: Mapping[str, Any], model: str, settings: Mapping[str, Any]) -> None:
    """The tuned file of a model on a data set."""
    target = CONFIGS / model.lower() / f"{grid['dataset']}.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    count = len(grid["models"][model]["trials"])
    head = f"# Chosen on valid by {grid['metric']} among {count} trials of benchmarks/grids/{grid['file']}.\n"
    target.write_text(head + yaml.safe_dump(nested(settings), sort_keys=False))


def finish(grid: Mapping[str, Any], model: str, runs: Path) -> dict[str, Any]:
    """Tune a method, train its winner with every seed, store the settings; one row of the table."""
    chosen, trials = tune(grid, model, runs)
    full = merged(grid["final"], grid["models"][model].get("trial"), chosen)
    results = [run(grid, model, full, seed, runs / f"{model}-seed{seed}") for seed in grid["seeds"]]
    closed = not any(r["epochs"] for r in results)
    stored = {k: v for k, v in full.items() if not k.startswith(("evaluate.", "train.") if closed else "evaluate.")}
    if stored and trials and "model" not in grid["models"][model]:
        write_settings(grid, model, stored)
    names = [n for n in results[0]["metrics"]["test"] if n in SHOWN]
    test = {n: [r["metrics"]["test"][n] for r in results] for n in names}
    return {
        "model": model,
        "settings": full,
        "trials": trials,
        "test": {
            n: {"mean": statistics.mean(v), "sd": statistics.stdev(v) if len(v) > 1 else 0.0, "seeds": v}
            for n, v in test.items()
        },
        "valid": statistics.mean(r["metrics"]["valid"][grid["metric"]] for r in results),
        "epochs": [r["epochs"] for r in results],
        "cut": [r["epochs"] >= full["train.epochs"] for r in results],
        "seconds": [r["seconds"] for r in results],
        "peak_mb": max(r["peak_mb"] for r in results),
        "protocol": results[0]["protocol"],
        "split_hash": results[0]["split_hash"],
    }


def by_user(grid: Mapping[str, Any], entry: str, runs: Path) -> Evaluation:
    """Test values of users, means over the seeds."""
    found = [load_run(runs / f"{entry}-seed{seed}").evaluate("test") for seed in grid["seeds"]]
    first, metric = found[0], grid["metric"]
    mean = torch.stack([f.per_user[metric] for f in found]).mean(0)
    return Evaluation({metric: float(mean.mean())}, {metric: mean}, first.users, first.protocol)


def references(grid: Mapping[str, Any]) -> list[str]:
    """The entries that all others are held against."""
    named = grid.get("reference", [])
    return [named] if isinstance(named, str) else list(named)


def hold_against(grid: Mapping[str, Any], rows: list[dict[str, Any]], runs: Path) -> None:
    """Give every row ``against``: its paired comparisons with the references on test, p corrected over all of them."""
    found = {row["model"]: by_user(grid, row["model"], runs) for row in rows}
    pairs = [(row, base) for base in references(grid) if base in found for row in rows if row["model"] != base]
    made = [compare(found[base], found[row["model"]])[grid["metric"]] for row, base in pairs]
    for row in rows:
        row["against"] = {}
    for (row, base), one, p in zip(pairs, made, holm([one.p_permutation for one in made]), strict=True):
        row["against"][base] = {**asdict(one), "p_holm": p}


def difference(row: dict[str, Any], base: str) -> str:
    """Difference from a reference with its interval and corrected p."""
    if base not in row.get("against", {}):
        return ""
    found = row["against"][base]
    return f"{found['difference']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}], p {found['p_holm']:.4f}"


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and deviation of the test metrics over the seeds, as markdown; differences from the references if any."""
    names = list(rows[0]["test"])
    held = {base: one["metric"] for row in rows for base, one in row.get("against", {}).items()}
    heads = ["model", *names, "epochs", "seconds", *(f"{metric} less {base}'s" for base, metric in held.items())]
    head = f"| {' | '.join(heads)} |\n|" + "---|" * len(heads)
    lines = []
    for row in rows:
        cells = [f"{row['test'][n]['mean']:.4f} ± {row['test'][n]['sd']:.4f}" for n in names]
        cut = " (cut)" if any(row["cut"]) and max(row["epochs"]) > 0 else ""
        seconds = statistics.mean(row["seconds"])
        cells += [f"{row['epochs']}{cut}", f"{seconds:.0f}", *(difference(row, base) for base in held)]
        lines.append(f"| {row['model']} | {' | '.join(cells)} |")
    return "\n".join([head, *lines])


def main() -> None:
    """Run what is missing of a grid and write benchmarks/results/quality-<grid>.{json,md}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/quality"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--models", default="", help="comma-separated; default all of the grid")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    grid = {**yaml.safe_load(options.grid.read_text()), "file": options.grid.name}
    stored = RESULTS / f"quality-{options.grid.stem}.json"
    for model in options.models.split(",") if options.models else list(grid["models"]):
        start = time.monotonic()
        row = finish(grid, model, options.runs / options.grid.stem)
        rows = {r["model"]: r for r in json.loads(stored.read_text())} if stored.exists() else {}
        rows[model] = row
        ordered = [rows[m] for m in grid["models"] if m in rows]
        if len(rows) > 1 and any(base in rows for base in references(grid)):
            hold_against(grid, ordered, options.runs / options.grid.stem)
        RESULTS.mkdir(exist_ok=True)
        stored.write_text(json.dumps(ordered, indent=1) + "\n")
        stored.with_suffix(".md").write_text(table(ordered) + "\n")
        print(f"{model} done in {time.monotonic() - start:.0f} s", flush=True)
    print(stored.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
