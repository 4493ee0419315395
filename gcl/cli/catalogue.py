"""``gcl models|losses|views [NAME]``: what there is, as a table, or one of them in full."""

import inspect
from typing import Annotated, Any

import typer

from gcl.cli import tables
from gcl.cli.console import Json, Output

Name = Annotated[str | None, typer.Argument(help="One name, or an import path such as mypkg.mod:Name.")]


def models(name: Name = None, json: Json = False) -> None:
    """List the models, or describe one."""
    from gcl import build

    if name is None:
        _list(Output(json), build.models(), "family")
    else:
        cls = build.model_class(name)
        _describe(Output(json), build.models([name])[0], cls)


def losses(name: Name = None, json: Json = False) -> None:
    """List the objectives by kind, or describe one."""
    from gcl import build

    if name is None:
        _list(Output(json), build.objectives(), "kind")
    else:
        cls = build.objective_class(name)
        _describe(Output(json), build.objectives([name])[0], cls, _slots(cls))


def _slots(cls: type) -> dict[str, str]:
    """The parts an objective is made of at its default arguments, where it has defaults for all of them."""
    try:
        return dict(cls().describe())
    except TypeError:
        return {}


def views(name: Name = None, json: Json = False) -> None:
    """List the views, or describe one."""
    from gcl import build

    if name is None:
        _list(Output(json), build.views_catalogue(), "kind")
    else:
        _describe(Output(json), build.views_catalogue([name])[0], build.view_class(name))


def _list(out: Output, entries: list[dict[str, Any]], group: str) -> None:
    entries = sorted(entries, key=lambda e: e[group]) if group == "kind" else entries
    out.table(
        ("name", group, "reference", "summary"),
        ([e["name"], e[group], e["reference"], e["summary"]] for e in entries),
    )
    out.emit(entries)


def _describe(out: Output, entry: dict[str, Any], cls: type, slots: dict[str, str] | None = None) -> None:
    from gcl import build

    group = "family" if "family" in entry else "kind"
    out.line(f"{entry['name']}  ({group} {entry[group]}{', ' + entry['reference'] if entry['reference'] else ''})")
    out.line()
    out.line(build.readable(inspect.getdoc(cls) or ""))
    if entry["arguments"]:
        out.line()
        out.table(("argument", "default"), ([name, tables.text(v)] for name, v in entry["arguments"].items()))
    if slots:
        out.line()
        out.table(("slot", "filled with"), slots.items())
    out.emit(entry)
