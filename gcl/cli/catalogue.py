"""``gcl models|losses|views [NAME]``: what there is, as a table, or one of them in full."""

import inspect
from typing import Annotated, Any

import typer

from gcl.cli import tables
from gcl.cli.console import Json, Output

Name = Annotated[str | None, typer.Argument(help="One name, or an import path such as mypkg.mod:Name.")]


def models(name: Name = None, json: Json = False) -> None:
    """List the models, or describe one."""
    from gcl import build, catalogue

    if name is None:
        _list(Output(json), catalogue.models(), "family")
    else:
        cls = build.model_class(name)
        _describe(Output(json), catalogue.models([name])[0], cls)


def losses(name: Name = None, json: Json = False) -> None:
    """List the objectives by family, or describe one."""
    from gcl import build, catalogue
    from gcl.losses.scan import family

    if name is None:
        entries = [{**e, "family": family(build.objective_class(e["name"]))} for e in catalogue.objectives()]
        _list(Output(json), sorted(entries, key=lambda e: e["family"]), "family", "kind")
    else:
        cls = build.objective_class(name)
        entry = {**catalogue.objectives([name])[0], "family": family(cls)}
        _describe(Output(json), entry, cls, _slots(cls), cls.reduces)


def _slots(cls: type) -> dict[str, str]:
    """The parts an objective is made of at its default arguments, where it has defaults for all of them."""
    try:
        return dict(cls().describe())
    except TypeError:
        return {}


def views(name: Name = None, json: Json = False) -> None:
    """List the views, or describe one."""
    from gcl import build, catalogue

    if name is None:
        _list(Output(json), sorted(catalogue.views(), key=lambda e: str(e["kind"])), "kind", "on")
    else:
        _describe(Output(json), catalogue.views([name])[0], build.view_class(name))


def _list(out: Output, entries: list[dict[str, Any]], *columns: str) -> None:
    """A line an entry, grouped by the first of the columns."""
    names = ("name", *columns, "summary", "reference") if out.wide else ("name", *columns, "summary")
    out.table(names, ([_cell(e[n]) for n in names] for e in entries), crop=("summary", "reference"))
    out.emit(entries)


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _describe(
    out: Output,
    entry: dict[str, Any],
    cls: type,
    slots: dict[str, str] | None = None,
    reduces: tuple[str, ...] = (),
) -> None:
    from gcl import catalogue

    known = [f"{what} {_cell(entry[what])}" for what in ("family", "kind", "on") if what in entry]
    out.line(f"{entry['name']}  ({', '.join(known + [entry['reference']] * bool(entry['reference']))})")
    out.line()
    out.line(catalogue.readable(inspect.getdoc(cls) or ""))
    if entry["arguments"]:
        out.line()
        out.table(("argument", "default"), ([name, tables.text(v)] for name, v in entry["arguments"].items()))
    if slots:
        out.line()
        out.table(("slot", "filled with"), slots.items())
    if reduces:
        out.line()
        out.table(("reduces to",), ([line] for line in reduces))
    out.emit(entry)
