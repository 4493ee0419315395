"""Propagation on gowalla, forward and backward: gcl, torch's CSR and COO autograd, LGConv of torch_geometric.

    GCL_DATA=... python -m benchmarks.propagate [--rounds 5] [--quick]

The mean of layers 0 .. 3 of Â x, d = 64, and the gradient of x for a dense gradient of the mean. One thread, CPU
seconds, a process a side, rounds in turns, medians. Peak memory is what a round takes beyond the graph and x.
"""

import argparse
import json
import statistics
import warnings
from pathlib import Path
from typing import Any

import torch

from benchmarks.systems.machine import describe, quiet
from benchmarks.systems.propagation import FORMS, step
from benchmarks.systems.rounds import interleave
from gcl.graph import Adjacency

RESULTS = Path(__file__).parent / "results"
NAMES = {
    "gcl": "gcl `propagate`",
    "csr": "torch CSR, own autograd",
    "coo": "torch COO, own autograd (SELFRec, SSLRec, RecBole)",
    "lgconv": "torch_geometric LGConv, edge_index",
}
TARGETS = {"coo": 8.0, "lgconv": 35.0}


def agree(layers: int) -> float:
    """Largest difference of any form's gradient from gcl's, on a small random graph."""
    generator = torch.Generator().manual_seed(0)
    row, col = (torch.rand(60, 60, generator=generator).triu(1) > 0.9).nonzero(as_tuple=True)
    adj = Adjacency.from_edges(torch.cat([row, col]), torch.cat([col, row]), 60, 60).normalize("sym")
    x = torch.randn(60, 8, generator=generator).requires_grad_()
    gradient = torch.randn(60, 8, generator=generator)
    found = {name: step(form(adj, layers), x, gradient) for name, form in FORMS.items()}
    return max(float((found[name] - found["gcl"]).abs().max()) for name in FORMS)


def table(sides: list[dict[str, Any]]) -> str:
    """Milliseconds, memory and the ratio to gcl, as markdown."""
    lines = ["| form | CPU ms | times gcl | expected | peak MiB |", "|---|---|---|---|---|"]
    for side in sides:
        cells = [side["name"], f"{1000 * side['seconds']:.0f}", f"{side['ratio']:.1f}", str(side["target"] or "")]
        lines.append(f"| {' | '.join([*cells, str(side['peak_mb'])])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds, nothing is stored")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="Sparse", category=UserWarning)
    difference = agree(options.layers)
    assert difference < 1e-5, f"the forms differ by {difference}"
    if not options.quick:
        quiet()
    machine = describe()
    common = {"system": "propagation", "task": "propagate_task", "steps": 0, "dim": options.dim}
    jobs = [{**common, "layers": options.layers, "form": form} for form in FORMS]
    workers = interleave(jobs, 2 if options.quick else options.rounds)
    sides: list[dict[str, Any]] = []
    for form, worker in zip(FORMS, workers, strict=True):
        rounds = [ticks[-1] - ticks[0] for ticks in worker.rounds]
        seconds, peak = statistics.median(rounds), round(worker.peak_mb - worker.ready["prepared_mb"])
        ratio = seconds / sides[0]["seconds"] if sides else 1.0
        side = {"name": NAMES[form], "seconds": seconds, "ratio": ratio, "target": TARGETS.get(form)}
        sides.append({**side, "peak_mb": peak, "rounds": rounds})
    print(table(sides), flush=True)
    if options.quick:
        return
    RESULTS.mkdir(exist_ok=True)
    setting = {"dataset": "gowalla", "dim": options.dim, "layers": options.layers, "threads": 1}
    stored = {"machine": machine, **setting, "difference": difference, "sides": sides}
    (RESULTS / "propagate.json").write_text(json.dumps(stored, indent=1) + "\n")
    (RESULTS / "propagate.md").write_text(table(sides) + "\n")


if __name__ == "__main__":
    main()
