"""The item graph of nearest neighbours over 100,000 x 384 features: time and peak memory.

    python -m benchmarks.neighbours [--items 100000] [--dim 384] [--quick]

k = 10 nearest by cosine of normal random rows (no structure to exploit: the work does not depend on the values), one
thread, one process, CPU seconds. Peak memory is the highest resident set of the process, imports and features included;
a stored matrix of similarities would take 40 GB.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from benchmarks.systems.machine import caption, describe, quiet
from benchmarks.systems.worker import peak_mb
from gcl.graph import knn_graph

RESULTS = Path(__file__).parent / "results"
LIMIT_MB = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--quick", action="store_true", help="a tenth of the items, nothing is stored")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.quick:
        quiet()
    machine, items = describe(), options.items // 10 if options.quick else options.items
    features = torch.randn(items, options.dim, generator=torch.Generator().manual_seed(0))
    before, start = peak_mb(), time.process_time()
    graph = knn_graph(features, 10)
    seconds, peak = time.process_time() - start, peak_mb()
    assert graph.num_edges == 10 * items
    lines = ["| items | dim | CPU s | peak MiB | before the graph |", "|" + "---|" * 5]
    lines.append(f"| {items:,} | {options.dim} | {seconds:.1f} | {peak:.0f} | {before:.0f} |")
    print("\n".join(lines), flush=True)
    assert peak < LIMIT_MB, f"the graph took {peak:.0f} MiB, more than {LIMIT_MB}"
    if options.quick:
        return
    RESULTS.mkdir(exist_ok=True)
    stored = {"machine": machine, "items": items, "dim": options.dim, "k": 10, "seconds": seconds, "peak_mb": peak}
    (RESULTS / "neighbours.json").write_text(json.dumps({**stored, "before_mb": before}, indent=1) + "\n")
    (RESULTS / "neighbours.md").write_text("\n".join([*lines, "", caption(machine)]) + "\n")


if __name__ == "__main__":
    main()
