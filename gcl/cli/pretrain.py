"""``gcl pretrain`` and ``gcl probe``: an encoder from graphs without labels, and what can be read off it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gcl.cli import tables
from gcl.cli.console import Device, Json, Output, Plain, Resume, failures_in
from gcl.errors import InputError

if TYPE_CHECKING:
    from gcl.training.pretrain_config import Pretraining

NAMES = "DGI, GRACE, GCA, BGRL, GBT, CCASSG, InfoGraph, GraphCL, ADGCL, Contrast"
"""The methods, for the help, which loads nothing."""


def pretrain(
    context: typer.Context,
    method: Annotated[str | None, typer.Argument(help=f"{NAMES}, or an import path such as mypkg.mod:Mine.")] = None,
    graph: Annotated[str | None, typer.Argument(help="A card's name, or an import path of graphs.")] = None,
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value ...]", help="Settings; see README.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A file with the sections model, data, train, probe.")] = None,
    plain: Plain = False,
    seed: Annotated[int, typer.Option(min=0, help="Root of all random numbers.")] = 0,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="The run's folder [runs/<method>-<graph>-<seed>-<time>].")] = None,
    resume: Resume = None,
    json: Json = False,
) -> None:
    """Pre-train METHOD on GRAPH without labels, then probe the frozen embeddings."""
    from gcl.cli.train import alone

    output = Output(json)
    if resume is not None:
        alone(context)
    elif method is None or graph is None or "=" in graph:
        raise InputError("gcl pretrain needs METHOD and GRAPH, such as gcl pretrain GRACE cora, or --resume RUN.")
    from gcl.training import pretrained as training
    from gcl.training.pretrain_config import resolve
    from gcl.training.run import new_folder

    if resume is not None:
        with failures_in(resume):
            result = training.resume_pretraining(resume).result
    else:
        assert method is not None
        assert graph is not None
        resolved = resolve(method, graph, settings or [], config, plain)
        _configuration(output, resolved)
        folder = out or new_folder(method, graph, seed)
        with failures_in(folder):
            result = training.pretrain_resolved(resolved, graph, seed=seed, device=device, out=folder).result
    _figures(output, result)
    output.emit(result)


def probe(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a pre-training.")],
    settings: Annotated[list[str] | None, typer.Argument(metavar="[probe.key=value ...]")] = None,
    json: Json = False,
) -> None:
    """Probe the embeddings of a pre-training again; settings of the section probe may be changed."""
    from gcl import grammar
    from gcl.training.pretrained import figures, load_pretrained

    output = Output(json)
    changed = {}
    for path, value in grammar.pairs(settings or []):
        if path[0] != "probe" or len(path) != 2:
            told = ".".join(path)
            raise InputError(f"gcl probe takes settings of the section probe, such as probe.runs=5, got {told!r}.")
        changed[path[1]] = value
    began = time.monotonic()
    loaded = load_pretrained(run)
    found = loaded.probe(**changed)
    result = figures(loaded.config, found, time.monotonic() - began, loaded.path)
    _figures(output, result)
    output.emit(result)


def _configuration(out: Output, config: "Pretraining") -> None:
    out.line(f"{config.name} on {config.dataset}")
    rows = [[path, tables.text(value), config.origins[path]] for path, value in config.leaves().items()]
    out.table(("setting", "value", "from"), rows)
    out.line()


def _figures(out: Output, result: dict[str, Any]) -> None:
    if "accuracy" in result:
        more = "".join(f", {name} {value:.2f}" for name, value in result["details"].items())
        out.line(f"{result['method']} on {result['dataset']}, protocol {result['protocol']}, {result['runs']} runs")
        out.line(f"accuracy {result['accuracy']:.2f} ± {result['deviation']:.2f} %{more}")
    else:
        out.line(f"{result['method']} on {result['dataset']}, without labels: not probed")
    out.line(f"{result['seconds']:.1f} s")
    out.line(f"run: {result['run']}")
