"""What commands print: people read stdout, or stderr where stdout carries one JSON object."""

import json
import logging
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from gcl.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line; all else goes to stderr.")]

WIDTH = 120
"""Columns of what is printed to a file or a pipe."""


class Output:
    """Where a command writes; ``json``: stdout is left to :meth:`emit`."""

    def __init__(self, json: bool = False) -> None:
        from rich.console import Console

        self.json = json
        self.console = Console(stderr=json, highlight=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console = Console(stderr=json, highlight=False, soft_wrap=True, width=WIDTH)

    def line(self, text: str = "") -> None:
        """One line, as it is."""
        self.console.print(text, markup=False, highlight=False)

    def table(
        self, columns: Iterable[str], rows: Iterable[Iterable[str]], numbers: bool = False, fold: int = -1
    ) -> None:
        """A table whose column ``fold`` may break lines; ``numbers``: all columns but the first stand on the right."""
        from rich.table import Table
        from rich.text import Text

        names = list(columns)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for at, name in enumerate(names):
            free = at == fold % len(names)
            table.add_column(name, justify="right" if numbers and at else "left", no_wrap=not free, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self.console.print(table, soft_wrap=False)

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
