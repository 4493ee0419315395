"""One epoch of RecBole's SASRec and the NDCG@10 on valid that it reaches; gcl's SASRec until it reaches a given one.

    python -m benchmarks.systems.reach recbole FILES
    python -m benchmarks.systems.reach gcl 0.05 SEED

Both rank all items, what a user has included, as RecBole does for sequences. The last line on stdout is JSON; seconds
are CPU seconds, of gcl with every evaluation on the way, of RecBole without.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

DATASET = "ml-100k"
MOST_EPOCHS = 200


def recbole(files: str) -> dict[str, Any]:
    """RecBole's defaults: every prefix a row, full softmax, batches of 2048."""
    from benchmarks.systems.recbole import sequential

    trainer, train, valid = sequential({"model": "SASRec", "files": files, "batch_size": 2048})
    began = time.process_time()
    trainer._train_epoch(train, 0)
    seconds = time.process_time() - began
    metrics = trainer.evaluate(valid, load_best_model=False)
    return {"seconds": seconds, "ndcg@10": float(metrics["ndcg@10"]), "batches": len(train)}


def gcl(wanted: float, seed: int) -> dict[str, Any]:
    """All positions of a user in one row, full softmax, batches of 32 users; else the same model and rate."""
    from benchmarks.systems.sequences import load
    from gcl.build import create
    from gcl.evaluation import evaluate
    from gcl.training.device import deterministic, fabric
    from gcl.training.seeds import borrowed, initialising
    from gcl.training.settings import TrainSettings
    from gcl.training.stage import Stage

    device, data = torch.device("cpu"), load(DATASET)
    with initialising(seed):
        model = create("SASRec", data, {})
    began, curve = time.process_time(), []
    with borrowed(device) as ambient, deterministic(device):
        stage = Stage(model, data, TrainSettings(batch_size=32), seed, fabric(device, "32"), ambient)
        while len(curve) < MOST_EPOCHS and (not curve or curve[-1]["ndcg@10"] < wanted):
            for _ in stage.run_epoch():
                pass
            stage.next_epoch()
            reached = evaluate(model, data, "valid", k=(10,), exclude="none").metrics["ndcg@10"]
            curve.append({"seconds": time.process_time() - began, "ndcg@10": reached})
    return {"seconds": curve[-1]["seconds"], "ndcg@10": curve[-1]["ndcg@10"], "seed": seed, "curve": curve}


def main() -> None:
    torch.set_num_threads(1)
    system, first, *rest = sys.argv[1:]
    run: Callable[[], dict[str, Any]] = partial(gcl, float(first), *map(int, rest))
    if system == "recbole":
        run = partial(recbole, str(Path(first).resolve()))
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        found = run()
        os.chdir(here)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
