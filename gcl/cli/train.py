"""``gcl train``: from names to a finished run, or on from where one stopped."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gcl.cli import tables
from gcl.cli.console import Device, Json, Output, Plain, Resume, failures_in
from gcl.errors import InputError


class Precision(StrEnum):
    """Number format of the training steps."""

    full = "32"
    bf16 = "bf16"


class Engine(StrEnum):
    """Whose loop trains."""

    gcl = "gcl"
    recbole = "recbole"


def train(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="A name, or an import path such as mypkg.mod:MyModel.")] = None,
    dataset: Annotated[str | None, typer.Argument(help="A card's name, or a path to a file or folder.")] = None,
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value ...]", help="Settings; see README.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A file with the sections model, data, train, evaluate.")] = None,
    plain: Plain = False,
    seed: Annotated[int, typer.Option(min=0, help="Root of all random numbers but the split's (data.seed).")] = 0,
    device: Device = "auto",
    precision: Annotated[Precision, typer.Option(help="Number format of the training steps.")] = Precision.full,
    engine: Annotated[
        Engine,
        typer.Option(
            help="Whose trainer: recbole trains RecBole's models (a name that both have is RecBole's own) and gcl's "
            "(SimGCL, or gcl:LightGCN where both have the name)."
        ),
    ] = Engine.gcl,
    out: Annotated[Path | None, typer.Option(help="The run's folder [runs/<model>-<dataset>-<seed>-<time>].")] = None,
    resume: Resume = None,
    json: Json = False,
) -> None:
    """Train MODEL on DATASET, choose the epoch on valid, report on test; or go on with a run that was stopped."""
    output = Output(json)
    if resume is not None:
        alone(context)
    elif model is None or dataset is None or ("=" in dataset and not Path(dataset).exists()):
        raise InputError("gcl train needs MODEL and DATASET, such as gcl train SimGCL ml-100k dim=32, or --resume RUN.")
    from gcl import training
    from gcl.config import resolve
    from gcl.training.run import new_folder

    if resume is not None:
        with failures_in(resume):
            result = training.resume(resume).result
    else:
        assert model is not None
        assert dataset is not None
        folder = out or new_folder(model, dataset, seed)
        if engine is Engine.recbole:
            result = _by_recbole(output, model, dataset, settings or [], config, plain, seed, device, precision, folder)
        else:
            resolved = resolve(model, dataset, settings or [], config, plain)
            tables.configuration(output, resolved)
            with failures_in(folder):
                result = training.fit_resolved(
                    resolved, dataset, seed=seed, device=device, precision=precision.value, out=folder
                ).result
    tables.finished(output, result)
    output.emit(result)


def _by_recbole(
    output: Output,
    model: str,
    dataset: str,
    settings: list[str],
    config: Path | None,
    plain: bool,
    seed: int,
    device: str,
    precision: Precision,
    folder: Path,
) -> dict[str, Any]:
    """The result of a training by RecBole."""
    if precision is not Precision.full:
        raise InputError(f"--precision {precision.value} is of gcl's trainer; leave it out with --engine recbole.")
    from gcl import recbole

    resolved = recbole.resolved(model, dataset, settings, config, plain)
    tables.configuration(output, resolved)
    with failures_in(folder):
        return recbole.fit_resolved(resolved, dataset, seed=seed, device=device, out=folder).result


def alone(context: typer.Context) -> None:
    """An error if anything but --json was given beside --resume."""
    given = [n for n in context.params if n not in ("resume", "json")]
    given = [n for n in given if getattr(context.get_parameter_source(n), "name", "") == "COMMANDLINE"]
    if given:
        raise InputError(
            f"--resume takes nothing else but --json, got {', '.join(given)}: a run goes on under the settings it "
            "began with. For others, start a new run."
        )
