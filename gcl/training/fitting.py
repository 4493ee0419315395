"""From names to a finished run."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gcl import build
from gcl.config import Resolved, resolve
from gcl.data import Dataset
from gcl.errors import InputError
from gcl.recommenders import Recommender
from gcl.training import stored
from gcl.training.device import choose
from gcl.training.finished import Run, load_run, read_config
from gcl.training.ledger import check_same
from gcl.training.locks import locked
from gcl.training.loop import train as train_model
from gcl.training.run import RunDirectory, new_folder
from gcl.training.seeds import initialising
from gcl.training.settings import TrainSettings


def fit(
    model: str | type[Recommender],
    dataset: str | Path | Dataset,
    *,
    data: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    evaluate: Mapping[str, Any] | None = None,
    config: str | Path | None = None,
    plain: bool = False,
    seed: int = 0,
    device: str = "auto",
    precision: str = "32",
    out: str | Path | None = None,
    progress: bool = True,
    **model_arguments: Any,
) -> Run:
    """Train a model on a data set, as ``gcl train`` does.

    Args:
        model: a name, an import path, or a class.
        dataset: a card's name, a path, or a data set.
        data, train, evaluate: settings of these sections.
        config: a file of sections; what is given in the call goes before it.
        plain: leave the tuned file ``configs/<model>/<dataset>.yaml`` out.
        seed: the root of all random numbers but those of the split.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``32`` or ``bf16``.
        out: the run's folder; by default ``runs/<model>-<dataset>-<seed>-<time>``.
        progress: a bar on a terminal, lines on stderr elsewhere.
        model_arguments: arguments of the model's constructor.

    Raises:
        InputError: an unknown name or key (with the nearest), a wrong value, a folder that holds another run; and as
            :func:`gcl.training.train`.
    """
    name = model if isinstance(model, str) else build.name_of(model)
    sections = {"model": model_arguments, "data": data or {}, "train": train or {}, "evaluate": evaluate or {}}
    resolved = resolve(name, dataset, sections, config, plain)
    return fit_resolved(resolved, dataset, seed=seed, device=device, precision=precision, out=out, progress=progress)


def fit_resolved(
    config: Resolved,
    dataset: str | Path | Dataset,
    *,
    seed: int = 0,
    device: str = "auto",
    precision: str = "32",
    out: str | Path | None = None,
    progress: bool = True,
) -> Run:
    """:func:`fit` under a configuration that is already resolved."""
    chosen = choose(device)
    run = RunDirectory(out or new_folder(config.name, config.dataset, seed))
    run.check_free()
    config, loaded = opened(config, dataset)
    with initialising(seed):
        model = build.create(config.name, loaded, config.model)
    with locked(run.path):
        begin(run, config, loaded, {"seed": seed, "device": str(chosen), "precision": precision})
        train_model(
            model, loaded, TrainSettings(**config.train), config.evaluate, run=run, seed=seed, device=str(chosen),
            precision=precision, progress=progress,
        )  # fmt: skip
    return load_run(run.path)


def resume(path: str | Path, *, progress: bool = True) -> Run:
    """Continue a run that was stopped, with the settings and data in its folder; a finished run is loaded.

    Raises:
        InputError: no run there, one that another process trains, a damaged or changed checkpoint, changed settings,
            a device that is not here.
    """
    run = RunDirectory(path)
    config = read_config(run)
    if run.finished:
        return load_run(path)
    check_same(stored.settings(run.data), _source(config))
    environment = run.read_json(run.environment)
    if environment.get("engine", "gcl") != "gcl":
        raise InputError(
            f"{path} was begun with --engine {environment['engine']}, whose runs cannot go on; start it anew with the "
            "command and the --out it began with."
        )
    data = stored.read(run.data)
    with initialising(environment["seed"]):
        model = build.create(config.name, data, config.model)
    train_model(
        model, data, TrainSettings(**config.train), config.evaluate, run=run, seed=environment["seed"],
        device=environment["device"], precision=environment["precision"], resume=True, progress=progress,
    )  # fmt: skip
    return load_run(path)


def opened(config: Resolved, dataset: str | Path | Dataset) -> tuple[Resolved, Dataset]:
    """The configuration with the split that was made, and of the data set what a run keeps."""
    loaded = dataset if isinstance(dataset, Dataset) else _load(dataset, config)
    config = _told(config, loaded)
    needs = build.model_class(config.name).needs | ({"modalities"} if config.model.get("modalities") else set())
    return config, stored.kept(loaded, needs, config.data.get("show", ("title",)))


def begin(run: RunDirectory, config: Resolved, data: Dataset, facts: Mapping[str, Any]) -> None:
    """Make the folder of a new run: its data, its environment with ``facts``, its configuration."""
    run.start()
    stored.write(run.data, data, _source(config))
    run.write_environment(facts)
    run.write_config(config.to_yaml())


def _load(dataset: str | Path, config: Resolved) -> Dataset:
    from gcl.data import load

    return load(dataset, **config.data)


def _told(config: Resolved, data: Dataset) -> Resolved:
    """The configuration with the kind of split that was made where it was left open."""
    if "split" not in config.data or config.data["split"] is not None:
        return config
    origins = {**config.origins, "data.split": "data set"}
    return replace(config, data={**config.data, "split": data.split.made["kind"]}, origins=origins)


def _source(config: Resolved) -> dict[str, Any]:
    """The settings that decide what is in the folder ``data``."""
    return {"dataset": config.dataset, "data": config.data}
