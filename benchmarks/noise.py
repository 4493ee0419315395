"""Random interactions in train: how methods degrade, and whether learnt masks rank what was put in lowest.

    GCL_DATA=... python -m benchmarks.noise [--runs runs/noise] [--models LightGCN,DCCF] [--seeds 0 1 2]

ml-100k with 0, 10, 20 and 30 % of its train rows added as pairs (user, item) that stand in no part, drawn evenly and
with a fixed seed; valid and test stay as they are. Every method trains with its tuned settings
(``configs/<model>/ml-100k.yaml``) to early stopping. Resumable: a finished run is read, not repeated.
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.systems.machine import caption, describe
from gcl.data import Dataset, load
from gcl.data.interactions import TrainInteractions
from gcl.graph import Adjacency, spmm
from gcl.recommenders import Recommender
from gcl.recommenders.general.adagcl import AdaGCL
from gcl.recommenders.general.dccf import DCCF
from gcl.training import fit, load_run, resume

RESULTS = Path(__file__).parent / "results"
MODELS = ("LightGCN", "SGL", "SimGCL", "DCCF", "AdaGCL")
SHARES = (0.0, 0.1, 0.2, 0.3)
METRIC = "ndcg@10"
LOWEST = 0.1
"""The share of edges with the lowest weights that is looked at."""


def noisy(data: Dataset, share: float, seed: int = 0) -> tuple[Dataset, Tensor]:
    """The data set with random train rows at the end, and which rows they are [N]."""
    train, number = data.train, round(share * len(data.train))
    generator = torch.Generator().manual_seed(seed)
    taken = torch.zeros(train.num_users * train.num_items, dtype=torch.bool)
    for part in (data.split.train, data.split.valid, data.split.test):
        taken[part.user * train.num_items + part.item] = True
    free = (~taken).nonzero()[:, 0]
    drawn = free[torch.randperm(len(free), generator=generator)[:number]]
    user = torch.cat([train.user, drawn // train.num_items])
    item = torch.cat([train.item, drawn % train.num_items])
    rows = TrainInteractions(user, item, train.num_users, train.num_items)
    split = replace(data.split, train=rows, made={**data.split.made, "noise": share, "noise_seed": seed})
    return replace(data, split=split), torch.arange(len(user)) >= len(train)


def masks(model: Recommender) -> dict[str, Tensor]:
    """Weights of edges [E] by the name of the mask, of a trained model."""
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        if isinstance(model, DCCF):
            adj, x = model.encoder.adj, model.encoder.table
            for name, scored in (("graph", spmm(adj, x)), ("intents", model.intents.forward(x))):
                found[name] = model.mask.graph(adj, scored).weights
        if isinstance(model, AdaGCL):
            adj = model.encoder.adj
            found["denoiser"] = model.denoiser.mask(model.denoiser.logits(adj, model.encoder.table, 1))
            whole = model.encoder.read(model.encoder())
            z = model.autoencoder.mean(whole)
            found["auto-encoder"] = model.autoencoder.decoder(z[adj.row.long()] * z[adj.indices.long()])[:, 0]
    return found


def share_among_lowest(adj: Adjacency, weights: Tensor, data: Dataset, added: Tensor) -> float:
    """Of the :data:`LOWEST` part of undirected edges by weight (mean of both directions), the share that was added."""
    total = torch.zeros(adj.num_undirected).index_add_(0, adj.undirected.long(), weights)
    marked = torch.zeros(data.num_users, data.num_items, dtype=torch.bool)
    marked[data.train.user[added], data.train.item[added]] = True
    row, column = adj.row.long(), adj.indices.long()
    forward = row < data.num_users
    injected = torch.zeros(adj.num_undirected, dtype=torch.bool)
    injected[adj.undirected.long()[forward]] = marked[row[forward], column[forward] - data.num_users]
    lowest = torch.argsort(total, stable=True)[: round(LOWEST * len(total))]
    return float(injected[lowest].float().mean())


def measure(model: str, share: float, seed: int, data: Dataset, runs: Path) -> dict[str, Any]:
    """Test metric of one run, and the share of added edges among the lowest of each mask."""
    changed, added = noisy(data, share)
    folder = runs / f"{model}-{round(100 * share)}-seed{seed}"
    if (folder / "result.json").exists():
        run = load_run(folder)
    elif (folder / "last").exists():
        run = resume(folder, progress=False)
    else:
        run = fit(model, changed, seed=seed, device="cpu", out=folder, progress=False)
    found: dict[str, Any] = {"model": model, "share": share, "seed": seed, "epochs": run.result["epochs"]}
    found[METRIC] = run.result["metrics"]["test"][METRIC]
    adj = getattr(getattr(run.model, "encoder", None), "adj", None)
    if share and adj is not None:
        found["lowest"] = {name: share_among_lowest(adj, w, changed, added) for name, w in masks(run.model).items()}
        found["chance"] = float(added.float().mean())
    return found


def table(cells: list[dict[str, Any]]) -> str:
    """Metric by share, what is left of it, and injected edges among the lowest, as markdown."""
    shares = sorted({c["share"] for c in cells})
    lines = [f"| model | {' | '.join(f'{s:.0%} added' for s in shares)} | added edges among the lowest 10 % |"]
    lines.append("|" + "---|" * (len(shares) + 2))
    for model in dict.fromkeys(c["model"] for c in cells):
        mine = [c for c in cells if c["model"] == model]
        means = {s: [c[METRIC] for c in mine if c["share"] == s] for s in shares}
        clean = statistics.mean(means[0.0]) if means.get(0.0) else None
        shown = []
        for s in shares:
            value = statistics.mean(means[s]) if means[s] else None
            kept = f" ({value / clean - 1:+.1%})" if value is not None and clean and s else ""
            shown.append("" if value is None else f"{value:.4f}{kept}")
        low = [
            f"{name}, {c['share']:.0%}: {part:.1%} (chance {c['chance']:.1%})"
            for c in mine
            if c["seed"] == mine[0]["seed"]
            for name, part in c.get("lowest", {}).items()
        ]
        lines.append(f"| {model} | {' | '.join(shown)} | {'; '.join(low)} |")
    return "\n".join(lines)


def figure(cells: list[dict[str, Any]], path: Path) -> None:
    """What is left of the metric at each share, a line a model, as an SVG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    canvas, axis = plt.subplots(figsize=(6, 4))
    for model in dict.fromkeys(c["model"] for c in cells):
        points = {s: [c[METRIC] for c in cells if c["model"] == model and c["share"] == s] for s in SHARES}
        known = {s: statistics.mean(v) for s, v in points.items() if v}
        if 0.0 in known:
            axis.plot([100 * s for s in known], [v / known[0.0] for v in known.values()], marker="o", label=model)
    axis.set(xlabel="random interactions added to train, %", ylabel=f"test {METRIC} over that of clean train")
    axis.grid(alpha=0.3)
    axis.legend()
    canvas.tight_layout()
    canvas.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/noise"))
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    options = parser.parse_args()
    torch.set_num_threads(1)
    data, machine = load("ml-100k"), describe()
    stored = RESULTS / "noise.json"
    for model in options.models.split(","):
        for share in SHARES:
            for seed in options.seeds:
                cell = measure(model, share, seed, data, options.runs)
                print(cell, flush=True)
                before = json.loads(stored.read_text())["cells"] if stored.exists() else []
                key = (model, share, seed)
                cells = [c for c in before if (c["model"], c["share"], c["seed"]) != key] + [cell]
                cells.sort(key=lambda c: (MODELS.index(c["model"]), c["share"], c["seed"]))
                stored.write_text(json.dumps({"machine": machine, "metric": METRIC, "cells": cells}, indent=1) + "\n")
                (RESULTS / "noise.md").write_text(f"{table(cells)}\n\n{caption(machine)}\n")
                figure(cells, RESULTS / "noise.svg")


if __name__ == "__main__":
    main()
