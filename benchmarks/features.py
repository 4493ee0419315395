"""What multimodal models lose where features are missing, are taken away at test, or belong to other items.

    GCL_DATA=... python -m benchmarks.features [--dataset tiktok] [--models BM3,SIGER] [--seeds 0 1 2] [--epochs 100]
    GCL_DATA=... python -m benchmarks.features --dataset ml-100k --cold

``whole``: as the data set has them. ``without M at test``: the same trained model after ``model.hide(M)``. ``half
missing``: trained with half of the items lacking each modality, drawn for each by itself. ``shuffled``: trained with
the rows of each modality moved to other items that have it. Settings are the tuned ones
(``configs/<model>/<dataset>.yaml``), else the defaults of the class; items are left out of lists as the data set's card
has it published. ``--cold``: items held out of train, ranked among themselves; stored by itself. Resumable: a finished
run is read, not repeated. With ``--quick`` nothing is stored.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.systems.machine import caption, describe
from gcl.data import Dataset, Modality, load
from gcl.evaluation import evaluate
from gcl.recommenders.multimodal.base import Multimodal
from gcl.training import Run, fit, load_run, resume

RESULTS = Path(__file__).parent / "results"
MODELS = ("VBPR", "FREEDOM", "BM3", "MGCN", "MambaRec", "SIGER")
METRIC = "recall@20"


def shuffled(modality: Modality, generator: torch.Generator) -> Modality:
    """The rows that are present, in another order."""
    rows = modality.present.nonzero().flatten()
    values = modality.values.clone()
    values[rows] = values[rows[torch.randperm(len(rows), generator=generator)]]
    return Modality(values, modality.present)


def halved(modality: Modality, generator: torch.Generator) -> Modality:
    """Half of the rows that are present marked missing."""
    rows = modality.present.nonzero().flatten()
    present = modality.present.clone()
    present[rows[torch.randperm(len(rows), generator=generator)[: len(rows) // 2]]] = False
    return Modality(modality.values, present)


CHANGES = {"whole": None, "half missing": halved, "shuffled": shuffled}


def changed(data: Dataset, name: str) -> Dataset:
    """The data set with its modalities as a condition has them; the draw is the same for every seed."""
    change, generator = CHANGES[name], torch.Generator().manual_seed(0)
    if change is None:
        return data
    return replace(data, modalities={n: change(m, generator) for n, m in data.modalities.items()})


def trained(model: str, data: Dataset, seed: int, folder: Path, settings: Mapping[str, Any]) -> Run:
    """A run, trained now, continued, or read."""
    if (folder / "result.json").exists():
        return load_run(folder)
    if (folder / "last").exists():
        return resume(folder, progress=False)
    return fit(model, data, seed=seed, device="cpu", out=folder, progress=False, **settings)


def measure(model: str, data: Dataset, seed: int, runs: Path, settings: Mapping[str, Any]) -> dict[str, float]:
    """Test metric of one model and seed by condition."""
    metric, found = settings["train"]["metric"], {}
    asked = settings["evaluate"]
    for name in CHANGES:
        have = changed(data, name)
        run = trained(model, have, seed, runs / f"{model}-{name.replace(' ', '-')}-seed{seed}", settings)
        found[name] = evaluate(run.model, have, "test", **asked).metrics[metric]
        if name == "whole":
            for modality in data.modalities:
                alone = load_run(run.path).model
                assert isinstance(alone, Multimodal)
                alone.hide(modality)
                without = evaluate(alone, have, "test", **asked)
                found[f"without {modality} at test"] = without.metrics[metric]
    return found


def table(cells: list[dict[str, Any]], metric: str) -> str:
    """Mean over the seeds by model and condition, and what changed beside ``whole``, as markdown."""
    names = list(cells[0]["found"])
    lines = [f"| model | {' | '.join(f'{metric}, {n}' for n in names)} |", "|" + "---|" * (len(names) + 1)]
    for model in dict.fromkeys(c["model"] for c in cells):
        means = {n: statistics.mean(c["found"][n] for c in cells if c["model"] == model) for n in names}
        whole = means["whole"]
        shown = [f"{v:.4f}" + (f" ({v / whole - 1:+.1%})" if n != "whole" and whole else "") for n, v in means.items()]
        lines.append(f"| {model} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="tiktok")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--runs", type=Path, default=Path("runs/features"))
    parser.add_argument("--cold", action="store_true", help="items held out of train, ranked among themselves")
    parser.add_argument("--quick", action="store_true", help="one seed, nothing is stored")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data, machine = load(options.dataset, split="cold_items" if options.cold else None), describe()
    metric, name = (f"{METRIC}/cold", "features-cold") if options.cold else (METRIC, "features")
    settings = {
        "train": {"epochs": options.epochs, "metric": metric, "patience": 10},
        "evaluate": {
            "exclude": data.card.get("published", {}).get("exclude", "seen"),
            "candidates": "cold" if options.cold else "full",
            "k": [20],
        },
    }
    cells = []
    for model in options.models.split(","):
        for seed in options.seeds[: 1 if options.quick else None]:
            found = measure(model, data, seed, options.runs / f"{options.dataset}-{name}", settings)
            cells.append({"model": model, "seed": seed, "found": found})
        print(table(cells, metric), flush=True)
    if options.quick:
        return
    RESULTS.mkdir(exist_ok=True)
    stored = {"dataset": options.dataset, "machine": machine, "settings": settings, "cells": cells}
    (RESULTS / f"{name}.json").write_text(json.dumps(stored, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(f"{table(cells, metric)}\n\n{caption(machine)}\n")


if __name__ == "__main__":
    main()
