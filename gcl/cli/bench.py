"""``gcl bench``: models x objectives x data sets x seeds, one report."""

from pathlib import Path
from typing import Annotated

import typer

from gcl.cli.console import Json, Output


def bench(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.yaml", help="The comparison, or the name of one in configs/bench: smoke.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of runs and report [runs/bench/<name of the file>].")] = None,
    workers: Annotated[int, typer.Option(help="So many runs at a time, each in a process of its own.")] = 1,
    json: Json = False,
) -> None:
    """Compare models under one budget and one protocol: train what is missing, then write the report.

    Finished runs are read, stopped ones go on: give the same command again. Settings are chosen on valid alone.
    """
    output = Output(json)
    from gcl.bench import bench as compare
    from gcl.bench.report import figure
    from gcl.bench.tables import PARITY

    outcome = compare(file, out, workers)
    for table in outcome.tables:
        output.line(table.title)
        bases = list(dict.fromkeys(one.reference for line in table.lines for one in line.against))
        rows = []
        for line in table.lines:
            figures = [figure(found) for found in line.test.values()]
            p = {one.reference: f"{one.p:.4f}" for one in line.against}
            rows.append([line.label, *figures, *(p.get(base, "") for base in bases), line.note])
        output.table(("model", *table.show, *(f"p {base}" for base in bases), "note"), rows, numbers=True)
        if table.parity:
            output.line(PARITY)
    output.line(f"report: {outcome.out / 'report.html'}")
    for name, reason in outcome.failed.items():
        output.line(f"failed: {name}: {reason}")
    output.emit(outcome.to_dict())
    if outcome.failed:
        raise typer.Exit(1)
