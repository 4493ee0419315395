"""``gcl evaluate``: the figures of a run again, under its own protocol or another."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gcl.cli import tables
from gcl.cli.console import Json, Output, RunFolder
from gcl.errors import InputError

if TYPE_CHECKING:
    from gcl.recommenders import Recommender


class Part(StrEnum):
    """The parts that are evaluated on."""

    valid = "valid"
    test = "test"


def evaluate(
    run: RunFolder,
    settings: Annotated[list[str] | None, typer.Argument(metavar="[evaluate.key=value ...]")] = None,
    split: Annotated[Part, typer.Option(help="The part to evaluate on.")] = Part.test,
    hide: Annotated[list[str] | None, typer.Option(help="A modality that is taken from all items first.")] = None,
    json: Json = False,
) -> None:
    """Evaluate a run with the weights it chose; settings of the section evaluate may be changed."""
    from gcl.training import load_run

    output = Output(json)
    changed = _changes(settings or [])
    loaded = load_run(run)
    if hide:
        _hide(loaded.model, hide)
    found = loaded.evaluate(split.value, **changed)
    output.line(f"{loaded.config.name} on {loaded.config.dataset}, seed {loaded.environment['seed']}")
    output.line(found.protocol.describe())
    if hide:
        output.line(f"without {', '.join(hide)}")
    tables.metrics(output, {split.value: found.metrics})
    tables.groups(output, found.groups)
    if found.cold:
        output.line(f"{found.cold} of the users have no train row")
    stored = loaded.result
    output.emit(
        {
            "model": loaded.config.name,
            "dataset": loaded.config.dataset,
            "seed": loaded.environment["seed"],
            "protocol": found.protocol.to_dict(),
            "split_hash": found.protocol.split_hash,
            "metrics": {split.value: found.metrics},
            "epochs": stored.get("epochs"),
            "seconds": stored.get("seconds"),
            "peak_mb": stored.get("peak_mb"),
            "cold": found.cold,
            "hidden": hide or [],
            "run": str(loaded.path),
        }
    )


def _hide(model: "Recommender", names: list[str]) -> None:
    from gcl.recommenders.multimodal.base import Multimodal

    if not isinstance(model, Multimodal):
        raise InputError(f"--hide {names[0]}: {type(model).__name__} has no modalities to take away; leave it out.")
    model.hide(*names)


def _changes(settings: list[str]) -> dict[str, Any]:
    from gcl import grammar

    changed = {}
    for path, value in grammar.pairs(settings):
        if path[0] != "evaluate" or len(path) != 2:
            raise InputError(
                f"gcl evaluate takes settings of the section evaluate, such as evaluate.k=[5], got {'.'.join(path)!r}."
            )
        changed[path[1]] = value
    return changed
