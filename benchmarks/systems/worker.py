"""One system in its own process: prepares, then answers every line on stdin with one measured round, as JSON.

    python -m benchmarks.systems.worker '{"system": "selfrec", "task": "train", "model": "LightGCN", ...}'

What the system prints goes to stderr. The folder it works in is its own and temporary.
"""

import json
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path


def peak_mb() -> float:
    """Highest resident memory of this process so far, MiB; its own, not what a parent had before it started."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> None:
    job = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import torch

    from benchmarks.systems.meter import measure

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        imported = peak_mb()
        call = getattr(import_module(f"benchmarks.systems.{job['system']}"), job["task"])(job)
        print(json.dumps({"imported_mb": imported, "prepared_mb": peak_mb()}), file=answers, flush=True)
        for _ in sys.stdin:
            ticks = measure(call, job["steps"])
            print(json.dumps({"ticks": ticks, "peak_mb": peak_mb()}), file=answers, flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main()
