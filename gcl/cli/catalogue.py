"""``gcl models|losses|views [NAME]``: what there is, as a table, or one of them in full."""

import inspect
import re
from typing import Annotated, Any

import typer

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
        _describe(Output(json), build.objectives([name])[0], build.objective_class(name))


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
        ([e["name"], e[group], e["reference"], _text(e["summary"])] for e in entries),
    )
    out.emit(entries)


def _describe(out: Output, entry: dict[str, Any], cls: type) -> None:
    group = "family" if "family" in entry else "kind"
    out.line(f"{entry['name']}  ({group} {entry[group]}{', ' + entry['reference'] if entry['reference'] else ''})")
    out.line()
    out.line(_text(inspect.getdoc(cls) or ""))
    if entry["arguments"]:
        out.line()
        out.table(("argument", "default"), ([name, _value(v)] for name, v in entry["arguments"].items()))
    out.emit(entry)


def _value(value: Any) -> str:
    """A default as it is typed on the command line."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=1 << 20, sort_keys=False)
    return text.strip().removesuffix("...").strip()


def _text(markup: str) -> str:
    """A docstring without its markup: names stand alone."""
    return re.sub(r"(?::\w+(?::\w+)?:)?`+~?([^`]+)`+", r"\1", markup)
