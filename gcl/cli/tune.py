"""``gcl tune``: search settings on valid."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gcl.cli.console import Device, Json, Output, Plain


def tune(
    model: Annotated[str, typer.Argument(help="A name, or an import path such as mypkg.mod:MyModel.")],
    dataset: Annotated[str, typer.Argument(help="A card's name, or a path to a file or folder.")],
    settings: Annotated[list[str] | None, typer.Argument(metavar="[key=value ...]", help="Of every trial.")] = None,
    trials: Annotated[int, typer.Option(help="How many, those of earlier calls included.")] = 20,
    space: Annotated[Path | None, typer.Option(help="YAML: setting -> {low, high, log} or a list of choices.")] = None,
    plain: Plain = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the runs and of the proposals.")] = 0,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder of the trials [runs/tune/<model>-<dataset>].")] = None,
    json: Json = False,
) -> None:
    """Search settings of MODEL on DATASET, chosen on valid by train.metric; write the best as a file for --config.

    Without --space the arguments whose names are known (layers, weight, temperature, ...) and train.lr are searched.
    Settings that are given are held. Stopped, the same command goes on.
    """
    output = Output(json)
    from gcl.bench import tune as search
    from gcl.bench.words import words

    found = search(
        model, dataset, settings or [], space=space, trials=trials, plain=plain, seed=seed, device=device, out=out
    )
    rows = [
        [str(t.number), "failed" if t.value is None else f"{t.value:.4f}", str(t.epochs), words(t.settings)]
        for t in sorted(found.trials, key=lambda t: -(t.value or 0))
    ]
    output.table(("trial", f"valid {found.metric}", "epochs", "settings"), rows)
    output.line(f"best: trial {found.best.number}: {words(found.best.settings)}")
    output.line(f"gcl train {model} {dataset} --config {found.config}")
    output.emit({**asdict(found), "config": str(found.config)})
