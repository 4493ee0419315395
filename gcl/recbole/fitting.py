"""``gcl.fit`` with RecBole's trainer in place of gcl's loop: from names to a finished run of the usual form."""

import logging
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from gcl import build
from gcl.config import Resolved, resolve
from gcl.data import Dataset
from gcl.errors import InputError
from gcl.evaluation import Evaluation, evaluate
from gcl.recbole import given, names
from gcl.recbole.baseline import Baseline
from gcl.recbole.bridge import as_recbole
from gcl.recbole.enclosure import enclosed
from gcl.recbole.trainer import Trained, train
from gcl.recommenders import Recommender
from gcl.training import Run, RunDirectory, checkpoint, load_run
from gcl.training import device as devices
from gcl.training.fitting import begin, opened
from gcl.training.locks import locked
from gcl.training.run import new_folder
from gcl.training.select import chosen_metric

log = logging.getLogger("gcl.recbole")
ENGINE = "recbole"


def fit(
    model: str,
    dataset: str | Path | Dataset,
    *,
    settings: Sequence[str] | Mapping[str, Mapping[str, Any]] = (),
    config: str | Path | None = None,
    plain: bool = False,
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
) -> Run:
    """Train a model with RecBole's trainer, as ``gcl train MODEL DATASET --engine recbole`` does.

    Args:
        model: a name of RecBole's, of gcl's, or an import path. A name that both have (LightGCN, EASE, SGL, NCL,
            SASRec, GRU4Rec) is RecBole's own model; ``gcl:LightGCN`` is gcl's in RecBole's trainer.
        dataset: a card's name, a path, or a data set; split and ids are gcl's.
        settings: ``key=value`` texts or a mapping of sections, as everywhere in gcl. Bare keys are the model's: of
            RecBole's models RecBole's own settings (``embedding_size=32``); ``train.*`` and ``evaluate.*`` are gcl's.
        config: a file of sections.
        plain: leave the tuned file of one of gcl's models out.
        seed: what RecBole seeds random, numpy and torch with; put back after.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        out: the run's folder; by default ``runs/<model>-<dataset>-<seed>-<time>``.

    Returns:
        The run; its ``result`` has besides the usual keys ``engine``, and ``cut``: whether the epochs ran out before
        RecBole's early stopping ended the training.

    Raises:
        InputError: as :func:`gcl.fit`; a model that RecBole's trainer cannot train, with the reason.
    """
    return fit_resolved(resolved(model, dataset, settings, config, plain), dataset, seed=seed, device=device, out=out)


def resolved(
    model: str,
    dataset: str | Path | Dataset,
    settings: Sequence[str] | Mapping[str, Mapping[str, Any]] = (),
    config: str | Path | None = None,
    plain: bool = False,
) -> Resolved:
    """The configuration of :func:`fit`."""
    return resolve(names.resolve(model), dataset, settings, config, plain)


def fit_resolved(
    config: Resolved,
    dataset: str | Path | Dataset,
    *,
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
) -> Run:
    """:func:`fit` under a configuration that is already resolved."""
    chosen = devices.choose(device)
    run = RunDirectory(out or new_folder(config.name, config.dataset, seed))
    run.check_free()
    if config.train["refit"]:
        raise InputError(
            "train.refit is not known to RecBole's trainer; leave it out, or train without --engine recbole."
        )
    config, data = opened(config, dataset)
    metric = chosen_metric(config.train["metric"], config.evaluate, data.num_items)
    model = build.create(config.name, data, config.model)
    facts = {"seed": seed, "device": str(chosen), "precision": "32", "engine": ENGINE, ENGINE: version("recbole")}
    with locked(run.path):
        begin(run, config, data, facts)
        began = time.monotonic()
        trained, model = _train(model, data, config, seed, chosen)
        for line in trained.lines:
            run.append(line)
        found = {part: _evaluated(model, data, part, config) for part in ("valid", "test")}
        metrics = {part: made.metrics if made else {} for part, made in found.items()}
        value = metrics["valid"].get(metric)
        best = {"epoch": trained.best_epoch, "value": value, "valid": metrics["valid"], "refit": False}
        checkpoint.save(run.best, model.state_dict(), best)
        seconds = round(time.monotonic() - began, 3)
        run.write_result(_result(run, config, data, seed, trained, found["test"], metrics, seconds, chosen))
    return load_run(run.path)


def _train(
    model: Recommender, data: Dataset, config: Resolved, seed: int, device: torch.device
) -> tuple[Trained, Recommender]:
    """The model trained, on the CPU."""
    if isinstance(model, Baseline):
        trained = model.fit_recbole(config.train, seed, device)
        if device.type == "cpu":
            return trained, model
        here = build.create(config.name, data, config.model)  # RecBole's models hold tensors that do not move with them
        here.load_state_dict({name: tensor.cpu() for name, tensor in model.state_dict().items()})
        return trained, here
    kind = as_recbole(type(model), **model.arguments)
    with enclosed(seed):
        own = {"train_neg_sample_args": kind.negative_sampling}
        if "max_length" in model.arguments:
            own["MAX_ITEM_LIST_LENGTH"] = model.arguments["max_length"]
        told = given.configure(kind, own, config.train, seed, device)
        loaders = given.loaders(told, data)
        bridge = kind(told, loaders.dataset).to(device)
        trained = train(told, bridge, loaders, config.train["metric"])
    return trained, bridge.model.cpu()


def _evaluated(model: Recommender, data: Dataset, part: Any, config: Resolved) -> Evaluation | None:
    if len(getattr(data, part)):
        return evaluate(model, data, part, **config.evaluate)
    log.warning("%r has no %s part: nothing is reported on it", data.name, part)
    return None


def _result(
    run: RunDirectory,
    config: Resolved,
    data: Dataset,
    seed: int,
    trained: Trained,
    tested: Evaluation | None,
    metrics: Mapping[str, Mapping[str, float]],
    seconds: float,
    device: torch.device,
) -> dict[str, Any]:
    """What ``result.json`` holds: as in a run of gcl's loop, ``engine`` and ``cut`` besides."""
    return {
        "model": config.name,
        "dataset": data.name,
        "seed": seed,
        "protocol": tested.protocol.to_dict() if tested else None,
        "split_hash": data.split.hash,
        "metrics": dict(metrics),
        "epochs": trained.epochs,
        "best_epoch": trained.best_epoch,
        "seconds": seconds,
        "peak_mb": round(devices.peak_mb(device), 1),
        "cold": tested.cold if tested else 0,
        "run": str(run.path),
        "engine": ENGINE,
        "cut": trained.cut,
    }
