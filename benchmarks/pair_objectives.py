"""Every pair objective of the catalogue, at its defaults, in one epoch of SimGCL on MovieLens-100k.

    GCL_DATA=... python -m benchmarks.pair_objectives [NAME ...] [--again]

Resumable: an objective is stored when its epoch is done, and what is stored is not run again without ``--again``. The
weight is chosen so that the terms are comparable: on the second batch (queues are filled by the first) the gradient of
weight * term at the table is as long as that of the default, InfoNCE at weight 0.5. Kept are the unweighted term of the
second step and its mean over the last five, whether every term and every gradient was finite, and CPU seconds. Adam at
0.001, batches of 2048, one thread, one seed: a check that all of them train, no comparison of quality.
"""

import argparse
import json
import math
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.systems.machine import caption, describe
from gcl import build
from gcl.data import Dataset, load, loader
from gcl.losses import catalogue
from gcl.recommenders import Recommender

RESULTS = Path(__file__).parent / "results"
STORED = RESULTS / "pair-objectives.json"
WEIGHT, BATCH, LAST = 0.5, 2048, 5
REFERENCE = "InfoNCE"
NOTE = (
    "Terms with a queue (CKD, DualMomentum, FeatureTransform, MoCHi, MoCo) rise while it fills: candidates become more."
)


def started(name: str, data: Dataset, weight: float) -> tuple[Recommender, Any]:
    """The model and the batches of its epoch, from one seed."""
    torch.manual_seed(0)
    model = build.create("SimGCL", data, {"objective": name, "weight": weight})
    model.generator = torch.Generator().manual_seed(1)
    return model, loader(data, model.sampling, BATCH, torch.Generator().manual_seed(2))


def pull(name: str, data: Dataset) -> float:
    """Length of the unweighted term's gradient at the model's parameters on the second batch."""
    model, batches = started(name, data, 1.0)
    parameters = [p for p in model.encoder.parameters() if p.requires_grad]
    first, second = islice(iter(batches), 2)
    with torch.no_grad():
        model.losses(first)
    term = model.losses(second)["contrast"]
    grads = torch.autograd.grad(term, parameters, allow_unused=True)
    return math.sqrt(sum(float(g.square().sum()) for g in grads if g is not None))


def epoch(name: str, data: Dataset, weight: float) -> dict[str, Any]:
    """One epoch: the term at its beginning and end, and whether all was finite."""
    model, batches = started(name, data, weight)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    values, finite, begin = list[float](), True, time.process_time()
    model.train()
    for step, batch in enumerate(batches):
        terms = model.losses(batch)
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        finite &= all(bool(torch.isfinite(x).all()) for x in (*terms.values(), *grads))
        optimiser.step()
        model.after_step(step)
        values.append(float(terms["contrast"].detach()) / weight)
    last = values[-LAST:]
    seconds = time.process_time() - begin
    return {"first": values[1], "last": sum(last) / len(last), "finite": finite, "steps": len(values), "cpu_s": seconds}


def table(rows: list[dict[str, Any]]) -> str:
    """A line an objective, as markdown."""
    lines = ["| objective | weight | first | last | finite | CPU s |", "|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda r: str(r["objective"])):
        if "error" in row:
            lines.append(f"| {row['objective']} | | | | {row['error']} | |")
            continue
        told = "yes" if row["finite"] else "**no**"
        cells = [row["objective"], f"{row['weight']:.3g}", f"{row['first']:.4g}", f"{row['last']:.4g}", told]
        lines.append(f"| {' | '.join(cells)} | {row['cpu_s']:.1f} |")
    return "\n".join(lines)


def store(rows: list[dict[str, Any]]) -> None:
    """Write the results so far, as JSON and as a table."""
    RESULTS.mkdir(exist_ok=True)
    machine = describe()
    content = {"machine": machine, "dataset": "ml-100k", "model": "SimGCL", "threads": 1, "batch_size": BATCH}
    STORED.write_text(json.dumps({**content, "objectives": rows}, indent=1) + "\n")
    STORED.with_suffix(".md").write_text(f"{table(rows)}\n\n{NOTE}\n\n{caption(machine)}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="objectives; all of kind pair by default")
    parser.add_argument("--again", action="store_true", help="run those that are stored, too")
    parser.add_argument("--quick", action="store_true", help="the default objective alone, nothing is stored")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load("ml-100k")
    names = options.names or [n for n, c in catalogue().items() if c.kind == "pair"]
    rows: list[dict[str, Any]] = json.loads(STORED.read_text())["objectives"] if STORED.exists() else []
    if options.quick:
        names, rows = [REFERENCE], []
    aim = WEIGHT * pull(REFERENCE, data)
    for name in names:
        if any(row["objective"] == name for row in rows) and not options.again:
            continue
        try:
            length = pull(name, data)
            weight = aim / length if length > 0 else WEIGHT
            row = {"objective": name, "weight": weight, **epoch(name, data, weight)}
        except Exception as error:
            row = {"objective": name, "error": f"{type(error).__name__}: {error}"}
        print(row, flush=True)
        if not options.quick:
            rows = [r for r in rows if r["objective"] != name] + [row]
            store(rows)


if __name__ == "__main__":
    main()
