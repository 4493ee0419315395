"""``gcl recommend``: the best items for users or for a history, by the ids that people know."""

import csv
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gcl.cli.console import Json, Output, RunFolder
from gcl.errors import InputError

if TYPE_CHECKING:
    from gcl.training.recommend import Lists


def recommend(
    run: RunFolder,
    users: Annotated[list[str] | None, typer.Option(help="Ids of users, separated by commas.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="All users.")] = False,
    history: Annotated[str | None, typer.Option(help="Ids of items, from the earliest to the latest.")] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Length of a list.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Write to a file: .json, .csv, else separated by tabs.")] = None,
    json: Json = False,
) -> None:
    """Print the K best items for users, leaving out what they have."""
    if sum((bool(users), everybody, history is not None)) != 1:
        raise InputError("gcl recommend takes one of --users 196,22, --all and --history a,b,c.")
    from gcl.training import load_run

    output = Output(json)
    loaded = load_run(run)
    if history is not None:
        lists = loaded.recommend(history=_ids([history], loaded.data.item_ids.tolist()), k=k)
    else:
        who = "all" if everybody else _ids(users or [], loaded.data.user_ids.tolist())
        lists = loaded.recommend(who, k=k)
    plain = {user: [[r.item, r.score] for r in rows] for user, rows in lists.items()}
    if out is not None:
        _write(out, lists, plain)
        output.line(f"{len(lists)} lists of {k} written to {out}")
    elif not json:
        _print(output, lists)
    output.emit(plain)


def _ids(given: list[str], known: Collection[Any]) -> list[str]:
    """The ids of texts separated by commas; a text that is itself an id stays whole."""
    names = {str(name) for name in known}
    found = [part for text in given for part in ([text] if text in names else text.split(","))]
    return [part if part in names else part.strip() for part in found if part.strip()]


def _columns(lists: "Lists") -> list[str]:
    return list(next((rows[0].shown for rows in lists.values() if rows), {}))


def _print(output: Output, lists: "Lists") -> None:
    shown = _columns(lists)
    for user, rows in lists.items():
        output.line(f"{'after the history' if user == 'history' else f'user {user}'}:")
        output.table(
            ("", "item", "score", *shown),
            ([str(at), r.item, f"{r.score:.4f}", *(_text(r.shown[c]) for c in shown)] for at, r in enumerate(rows, 1)),
        )


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _write(path: Path, lists: "Lists", plain: Mapping[str, Any]) -> None:
    import json

    shown = _columns(lists)
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            if path.suffix == ".json":
                file.write(json.dumps(plain, ensure_ascii=False) + "\n")
                return
            writer = csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t", lineterminator="\n")
            writer.writerow(["user", "rank", "item", "score", *shown])
            for user, rows in lists.items():
                for at, r in enumerate(rows, 1):
                    writer.writerow([user, at, r.item, r.score, *(_text(r.shown[c]) for c in shown)])
    except OSError as error:
        raise InputError(f"--out: cannot write {path}: {error.strerror}.") from error
