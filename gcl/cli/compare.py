"""``gcl compare``: is one run better than another, user by user?"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from gcl.cli.console import Json, Output
from gcl.errors import InputError

METRICS = ("recall", "ndcg")


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN ...", help="Folders of runs; the first is the base.")],
    json: Json = False,
) -> None:
    """Compare runs with the first one on test: paired tests on the values of users, corrected by Holm for their number.

    All must have one protocol: split, cut-offs, excluded items, candidates, users counted.
    """
    if len(runs) < 2:
        raise InputError(f"gcl compare needs two runs at least, got {len(runs)}.")
    from gcl.evaluation import compare as paired
    from gcl.evaluation import holm
    from gcl.training import load_run

    output = Output(json)
    loaded = [load_run(path) for path in runs]
    found = [run.evaluate("test") for run in loaded]
    names = [name for name in found[0].per_user if name.partition("@")[0] in METRICS]
    rows: list[dict[str, Any]] = []
    for run, evaluation in zip(loaded[1:], found[1:], strict=True):
        told = {"run": str(run.path), "model": run.config.name, "seed": run.environment["seed"]}
        rows += [{**told, **asdict(made)} for made in paired(found[0], evaluation, names).values()]
    for row, p in zip(rows, holm([row["p_permutation"] for row in rows]), strict=True):
        row["p_holm"] = p
    base = loaded[0]
    output.line(f"base: {base.config.name}, seed {base.environment['seed']}, {base.path}")
    output.line(found[0].protocol.describe())
    output.table(
        ("run", "metric", "base", "run's", "difference", "95 % interval", "p", "p (t)", "p (Holm)"),
        ([f"{row['model']} {row['run']}", row["metric"], *_figures(row)] for row in rows),
        fold=0,
    )
    output.line(f"p: sign-flip permutation; p (t): paired t-test; p (Holm): p corrected for {len(rows)} comparisons")
    protocol = found[0].protocol.to_dict()
    output.emit({"base": str(base.path), "protocol": protocol, "comparisons": rows})


def _figures(row: dict[str, Any]) -> list[str]:
    interval = f"[{row['low']:+.4f}, {row['high']:+.4f}]"
    chances = [f"{row[name]:.4f}" for name in ("p_permutation", "p_t", "p_holm")]
    return [f"{row['first']:.4f}", f"{row['second']:.4f}", f"{row['difference']:+.4f}", interval, *chances]
