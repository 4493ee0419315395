"""The same model, settings and split in gcl's loop and in RecBole's trainer: do they come to the same quality?

    python -m benchmarks.recbole_parity [--runs runs/parity]

Two or four seeds each, in one thread, few epochs; a finished run is not repeated. Stores results/recbole-parity.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch

import gcl
from benchmarks.systems.machine import caption, describe
from gcl.training import load_run

RESULTS = Path(__file__).parent / "results"
DATASET = "ml-100k"
SEEDS = {"LightGCN": (0, 1), "SimGCL": (0, 1, 2, 3)}
MODELS: dict[str, dict[str, Any]] = {
    "LightGCN": {"dim": 32, "layers": 2},
    "SimGCL": {"dim": 32, "layers": 2, "weight": 0.02},
}
SHARED = {"batch_size": 2048, "metric": "ndcg@20"}
TRAIN: dict[str, dict[str, Any]] = {
    "LightGCN": {**SHARED, "epochs": 40, "lr": 5e-3, "patience": 5},
    "SimGCL": {**SHARED, "epochs": 20, "lr": 1e-2, "patience": 20},
}
SHOWN = ("recall@10", "ndcg@10", "recall@20", "ndcg@20")


def run(model: str, engine: str, seed: int, folder: Path) -> dict[str, Any]:
    """The result of one run, trained now or read from its folder."""
    if (folder / "result.json").exists():
        return dict(load_run(folder).result)
    if engine == "recbole":
        from gcl import recbole

        settings = {"model": MODELS[model], "train": TRAIN[model]}
        done = recbole.fit(f"gcl:{model}", DATASET, settings=settings, plain=True, seed=seed, device="cpu", out=folder)
    else:
        settings = {**MODELS[model], "train": TRAIN[model], "plain": True, "progress": False}
        done = gcl.fit(model, DATASET, seed=seed, device="cpu", out=folder, **settings)
    return dict(done.result)


def row(model: str, engine: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Test figures of one model in one engine over the seeds."""
    test = {name: [r["metrics"]["test"][name] for r in results] for name in SHOWN}
    return {
        "model": model,
        "engine": engine,
        "test": {n: {"mean": statistics.mean(v), "sd": statistics.stdev(v), "seeds": v} for n, v in test.items()},
        "best_epoch": [r["best_epoch"] for r in results],
        "epochs": [r["epochs"] for r in results],
        "seconds": [r["seconds"] for r in results],
        "split_hash": results[0]["split_hash"],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line a model and engine, and under each pair the difference beside the deviation of seeds."""
    lines = [f"| model | trainer | {' | '.join(SHOWN)} | best epoch |", "|" + "---|" * (len(SHOWN) + 3)]
    for made in rows:
        cells = [f"{made['test'][n]['mean']:.4f} ± {made['test'][n]['sd']:.4f}" for n in SHOWN]
        engine = "gcl" if made["engine"] == "gcl" else "RecBole"
        lines.append(f"| {made['model']} | {engine} | {' | '.join(cells)} | {made['best_epoch']} |")
    for model in MODELS:
        pair = {made["engine"]: made["test"] for made in rows if made["model"] == model}
        if len(pair) == 2:
            cells = [f"{pair['recbole'][n]['mean'] - pair['gcl'][n]['mean']:+.4f}" for n in SHOWN]
            lines.append(f"| {model} | RecBole less gcl | {' | '.join(cells)} | |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and write benchmarks/results/recbole-parity.{json,md}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/parity"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine, rows = describe(), []
    for model in MODELS:
        for engine in ("gcl", "recbole"):
            results = [run(model, engine, seed, options.runs / f"{model}-{engine}-{seed}") for seed in SEEDS[model]]
            rows.append(row(model, engine, results))
            print(model, engine, rows[-1]["test"]["ndcg@20"], rows[-1]["best_epoch"], flush=True)
    stored = {"machine": machine, "models": MODELS, "train": TRAIN, "rows": rows}
    (RESULTS / "recbole-parity.json").write_text(json.dumps(stored, indent=1) + "\n")
    told = [f"{model} {train['epochs']} epochs, {len(SEEDS[model])} seeds" for model, train in TRAIN.items()]
    note = f"{DATASET}; cut for both trainers alike: {'; '.join(told)}. {caption(machine)}"
    (RESULTS / "recbole-parity.md").write_text(f"{table(rows)}\n\n{note}\n")


if __name__ == "__main__":
    main()
