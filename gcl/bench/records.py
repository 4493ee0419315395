"""One line of ``results.jsonl`` for every run that is stored, and nothing for one that is not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcl.bench.limits import cut_at
from gcl.bench.plan import Cell
from gcl.training.checkpoint import exists, record_of
from gcl.training.run import RunDirectory

TIMINGS = ("seconds", "seconds_to_best", "peak_mb", "run")
"""What differs between two runs of one comparison on one machine; all else is equal."""
Record = dict[str, Any]


def record(cell: Cell, parity: bool) -> Record | None:
    """The line of a cell; None where no finished or cut run is stored."""
    run = RunDirectory(cell.folder)
    limit = cut_at(cell.folder)
    if run.finished:
        result: Mapping[str, Any] = run.read_json(run.result)
    elif limit is not None and exists(run.best):
        result = _stopped(run)
    else:
        return None
    told: Record = {
        "dataset": cell.row.source.name,
        "row": cell.row.label,
        "model": result["model"],
        "engine": result.get("engine", "gcl"),
        "stage": cell.stage,
        "number": cell.number,
        "seed": cell.seed,
        "settings": cell.settings,
        "adopted": cell.adopted,
        "chosen_on": "test (parity)" if parity else "valid",
        "metrics": result["metrics"],
        "protocol": result["protocol"],
        "split_hash": result["split_hash"],
        "epochs": result["epochs"],
        "best_epoch": result["best_epoch"],
        "cut": cut(cell, result, limit),
        "seconds": result["seconds"],
        "seconds_to_best": to_best(result),
        "peak_mb": result["peak_mb"],
        "run": str(cell.folder),
    }
    return told


def cut(cell: Cell, result: Mapping[str, Any], limit: float | None) -> str | None:
    """Why a run ended before early stopping did; None where it did not."""
    if limit is not None and not RunDirectory(cell.folder).finished:
        return f"{limit:g} seconds"
    train = cell.config.train
    if not result["epochs"]:
        return None
    if "cut" in result:
        return f"{train['epochs']} epochs" if result["cut"] else None
    if result["epochs"] < train["epochs"]:
        return None
    waited = (result["epochs"] - result["best_epoch"]) // train["eval_every"]
    stopped = train["patience"] is not None and waited >= train["patience"]
    return None if stopped else f"{train['epochs']} epochs"


def to_best(result: Mapping[str, Any]) -> float:
    """Seconds up to the best epoch: all epochs cost the same, evaluation included; all of a closed form."""
    share = result["best_epoch"] / result["epochs"] if result["epochs"] else 1.0
    return round(float(result["seconds"]) * share, 3)


def on_valid(told: Record, metric: str) -> float | None:
    """The metric of a run's best epoch on valid; ``ndcg@10`` also finds ``ndcg@10/uni100``."""
    return value(told, "valid", metric)


def value(told: Record, part: str, metric: str) -> float | None:
    """A metric of a run, whatever its candidates are; None where the run has none."""
    plain = metric.partition("/")[0]
    return next((v for n, v in told["metrics"][part].items() if n.partition("/")[0] == plain), None)


def curve(folder: Path, metric: str) -> list[tuple[int, float]]:
    """(epoch, metric on valid) of a run's search."""
    lines = [line for line in RunDirectory(folder).lines() if line.get("stage") != "refit"]
    return [(line["epoch"], line[f"valid/{metric}"]) for line in lines if f"valid/{metric}" in line]


def diagnostics(folder: Path, epoch: int) -> dict[str, float]:
    """What the vectors of a run looked like at an epoch, by name."""
    for line in RunDirectory(folder).lines():
        if line.get("epoch") == epoch and line.get("stage") != "refit":
            return {k.removeprefix("diagnostics/"): v for k, v in line.items() if k.startswith("diagnostics/")}
    return {}


def _stopped(run: RunDirectory) -> Record:
    """The result of a run that was cut: what its best epoch so far came to; test comes with its measures."""
    facts, ledger = record_of(run.best)["facts"], record_of(run.last)["facts"]["ledger"]
    settings = record_of(run.last)["facts"]["settings"]
    return {
        "model": settings["model"]["name"],
        "metrics": {"valid": facts["valid"], "test": {}},
        "protocol": None,
        "split_hash": settings["split"],
        "epochs": ledger["epochs"],
        "best_epoch": facts["epoch"],
        "seconds": round(ledger["seconds"], 3),
        "peak_mb": round(ledger["peak_mb"], 1),
    }
