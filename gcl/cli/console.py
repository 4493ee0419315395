"""What commands print: people read stdout, or stderr where stdout carries one JSON object."""

import json
import logging
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gcl.errors import InputError

# Arguments that several commands take.
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line; all else goes to stderr.")]
Plain = Annotated[bool, typer.Option("--plain", help="Leave the tuned settings of the data set out.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Resume = Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run; takes nothing else.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]

UNBOUNDED = 1 << 16
"""Columns of what is printed to a file or a pipe: a line of a table is never broken there."""

BROAD = 120
"""Columns of a terminal that is broad."""


class Output:
    """Where a command writes; ``json``: stdout is left to :meth:`emit`."""

    def __init__(self, json: bool = False) -> None:
        from rich.console import Console

        self.json = json
        self.console = Console(stderr=json, highlight=False, soft_wrap=True)

    @property
    def wide(self) -> bool:
        """Whether a line has room for a sentence and more: a file, a pipe, or a broad terminal."""
        return not self.console.is_terminal or self.console.width >= BROAD

    def line(self, text: str = "") -> None:
        """One line, as it is."""
        self.console.print(text, markup=False, highlight=False)

    def table(
        self,
        columns: Iterable[str],
        rows: Iterable[Iterable[str]],
        numbers: bool = False,
        fold: int = -1,
        crop: Iterable[str] = (),
    ) -> None:
        """A table, a line a row in a file or a pipe.

        On a terminal the column ``fold`` may break lines; where columns are named in ``crop``, those are cut in its
        place and a row stays a line. ``numbers``: all columns but the first stand on the right.
        """
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        names, cut = list(columns), set(crop)
        free = cut or {names[fold]}
        table = Table(box=None, pad_edge=False, header_style="bold")
        for at, name in enumerate(names):
            side: Literal["left", "right"] = "right" if numbers and at else "left"
            table.add_column(name, justify=side, no_wrap=name not in free, overflow="fold")
        for row in rows:
            cells = zip(names, row, strict=True)
            table.add_row(*(Text(c, no_wrap=True, overflow="ellipsis") if n in cut else Text(c) for n, c in cells))
        if self.console.is_terminal:
            self.console.print(table, soft_wrap=False)
            return
        written = StringIO()
        Console(file=written, highlight=False, width=UNBOUNDED).print(table)
        for text in written.getvalue().splitlines():
            self.line(text.rstrip())

    def emit(self, value: Any) -> None:
        """The JSON object, on the last line of stdout, where it was asked for."""
        if self.json:
            sys.stdout.flush()
            sys.stdout.write(json.dumps(value) + "\n")


def complain(message: str) -> None:
    """An error, on stderr."""
    typer.echo(f"Error: {message}", err=True)


class LogLines(logging.Handler):
    """Log records as plain lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.capitalize()}: "
        typer.echo(f"{level}{record.getMessage()}", err=True)


@contextmanager
def failures_in(folder: Path) -> Iterator[None]:
    """Write the traceback of an unexpected failure to ``error.log`` in a run's folder, and note where it is."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if folder.is_dir() and not hasattr(error, "exit_code"):
            log = folder / "error.log"
            try:
                log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
                error.add_note(f"The traceback is in {log}.")
            except OSError:
                error.add_note(f"The traceback could not be written to {log}; set GCL_DEBUG=1 to see it.")
        raise
