"""``gcl datasets list|get|check|convert``: data sets by name, and tables of one's own."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gcl.cli.console import Json, Output
from gcl.errors import InputError

app = typer.Typer(no_args_is_help=True, help="List, fetch, check and convert data sets.", rich_markup_mode=None)
Source = Annotated[str, typer.Argument(metavar="DATASET", help="A card's name, or a path to a file or folder.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of a card; see gcl datasets list.")]


class Target(StrEnum):
    """What a data set is written as."""

    atomic = "atomic"
    csv = "csv"
    npz = "npz"


@app.command("list")
def list_cards(json: Json = False) -> None:
    """List the data sets with a card: what they are, how large, and where they are on this machine."""
    from gcl.data import cards
    from gcl.data.locate import present

    output = Output(json)
    entries: list[dict[str, Any]] = []
    for name in cards.names():
        card = cards.find(name)
        folder = present(card)
        entries.append(
            {
                "name": name,
                "family": card.kind,
                "reference": card.citation.strip(),
                "arguments": card.filters.model_dump(exclude_none=True) | ({"split": card.split} if card.split else {}),
                "title": card.title,
                "expected": card.expected.model_dump(exclude_none=True),
                "license": card.license.strip(),
                "folder": None if folder is None else str(folder),
            }
        )
    output.table(
        ("name", "family", "users", "items", "interactions", "here", "title"),
        (
            [e["name"], e["family"], *(_count(e["expected"].get(n)) for n in ("users", "items", "interactions")),
             "yes" if e["folder"] else "no", e["title"]]
            for e in entries
        ),
        crop=("title",),
    )  # fmt: skip
    output.emit(entries)


@app.command()
def get(name: Name, json: Json = False) -> None:
    """Fetch a data set into the cache, going on where a download stopped; or say what to do by hand."""
    from gcl import data

    output = Output(json)
    shown: dict[str, int] = {}

    def told(path: str, done: int, size: int | None) -> None:
        tenth = done * 10 // size if size else done >> 24
        if shown.get(path) != tenth:
            shown[path] = tenth
            typer.echo(f"{path}: {done:,} bytes" + (f" of {size:,}" if size else ""), err=True)

    folder = data.fetch(name, told)
    output.line(f"{name} is in {folder}")
    output.emit({"name": name, "folder": str(folder)})


@app.command()
def check(
    dataset: Source,
    settings: Annotated[list[str] | None, typer.Argument(metavar="[data.key=value ...]")] = None,
    json: Json = False,
) -> None:
    """Look for leaks in a split: a pair in two parts, test before train under a split by time.

    Of a card as it stands also compares its files and counts with the card. Exits with 1 where something is wrong.
    """
    from gcl import data
    from gcl.data import cards

    output = Output(json)
    values = _loading(settings or [])
    if dataset in cards.names() and not values:
        found, ok = _card_check(output, dataset)
        graph = cards.find(dataset).kind == "graph"
    else:
        found, ok, graph = {"name": dataset}, True, False
    if not graph:
        loaded = data.load(dataset, **values)
        findings = data.leaks(loaded)
        sizes = ", ".join(f"{part} {len(getattr(loaded, part)):,}" for part in ("train", "valid", "test"))
        output.line(f"{loaded.name}: split {loaded.split.made.get('kind')}, hash {loaded.split.hash}: {sizes}")
        for finding in findings:
            output.line(f"{'leak' if finding.leak else 'note':10} {finding.text}")
        if not any(finding.leak for finding in findings):
            output.line("no leak found")
        found["leaks"] = [finding.text for finding in findings if finding.leak]
        found["notes"] = [finding.text for finding in findings if not finding.leak]
        ok = ok and not found["leaks"]
    output.emit({**found, "ok": ok})
    if not ok:
        raise typer.Exit(1)


def _card_check(output: Output, name: str) -> tuple[dict[str, Any], bool]:
    """Files and counts of a card."""
    from gcl import data

    report = data.check(name)
    output.line(f"{name} in {report.folder}")
    for line in report.lines():
        output.line(line)
    counts = {what: {"card": told, "found": seen} for what, (told, seen) in report.counts.items()}
    found = {"name": name, "folder": str(report.folder), "files": dict(report.files), "counts": counts}
    return found, report.ok


@app.command()
def convert(
    dataset: Source,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write to.")],
    settings: Annotated[list[str] | None, typer.Argument(metavar="[data.key=value ...]")] = None,
    format: Annotated[Target, typer.Option(help="atomic (RecBole), csv, npz (sparse matrices).")] = Target.atomic,
    json: Json = False,
) -> None:
    """Write a data set, filtered and split, for other programs."""
    from gcl import data

    output = Output(json)
    loaded = data.load(dataset, **_loading(settings or []))
    try:
        files = data.convert(loaded, out, format.value)
    except OSError as error:
        raise InputError(f"OUT: cannot write to {out}: {error.strerror}.") from error
    for file in files:
        output.line(str(file))
    output.emit({"dataset": loaded.name, "format": format.value, "files": [str(file) for file in files]})


def _loading(settings: list[str]) -> dict[str, Any]:
    """Settings of the section data, checked."""
    from gcl import grammar
    from gcl.data import load
    from gcl.signatures import check

    values: dict[str, Any] = {}
    for path, value in grammar.pairs(settings):
        if path[0] != "data" or len(path) != 2 or path[1] == "dataset":
            raise InputError(f"Settings here are of the section data, such as data.user=uid, got {'.'.join(path)!r}.")
        values[path[1]] = value
    return check(load, values, "data")


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
