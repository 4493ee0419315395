"""A training step of DCCF on gowalla: gcl, and SSLRec's arithmetic in plain torch.

    GCL_DATA=... python -m benchmarks.dccf [--rounds 3] [--quick]

Loss and all gradients of one batch of 4096, d = 32, 2 layers, 128 intents, without the optimiser. One thread, CPU
seconds, a process a side, rounds in turns, medians. Extra memory is the peak of a step beyond what was there before
it. Both sides start from the same parameters; loss and gradients are compared on the whole of gowalla.
"""

import argparse
import json
import statistics
import warnings
from pathlib import Path
from typing import Any

from benchmarks.systems import dccf
from benchmarks.systems.gowalla import train
from benchmarks.systems.machine import caption, describe, quiet
from benchmarks.systems.rounds import interleave

RESULTS = Path(__file__).parent / "results"
NAMES = {"gcl": "gcl `DCCF`", "sslrec": "SSLRec's arithmetic, plain torch"}
TARGET = 4.0


def agree(job: dict[str, Any]) -> tuple[float, float]:
    """Difference of the losses, and the largest of all gradients, on gowalla."""
    rows = train()
    drawn = dccf.batch(rows, job["batch_size"])
    made = dccf.model(rows, job["dim"], job["layers"], job["intents"])
    (ours, mine), (theirs, other) = (form(made, drawn)() for form in dccf.FORMS.values())
    return float((ours - theirs).abs()), max(float((a - b).abs().max()) for a, b in zip(mine, other, strict=True))


def table(sides: list[dict[str, Any]]) -> str:
    """Seconds, extra memory and their ratios to gcl, as markdown."""
    lines = ["| form | CPU s | times gcl | extra MiB | times gcl |", "|---|---|---|---|---|"]
    first = sides[0]
    for side in sides:
        cells = [f"{side['seconds']:.2f}", f"{side['seconds'] / first['seconds']:.1f}"]
        cells += [str(side["extra_mb"]), f"{side['extra_mb'] / first['extra_mb']:.1f}"]
        lines.append(f"| {side['name']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round, nothing is stored")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="Sparse", category=UserWarning)
    setting = {"batch_size": 4096, "dim": 32, "layers": 2, "intents": 128}
    loss, gradient = agree(setting)
    assert max(loss, gradient) < 1e-5, f"the forms differ: loss {loss}, gradient {gradient}"
    if not options.quick:
        quiet()
    machine = describe()
    jobs = [{"system": "dccf", "task": "step_task", "steps": 0, "form": form, **setting} for form in dccf.FORMS]
    workers = interleave(jobs, 1 if options.quick else options.rounds)
    sides: list[dict[str, Any]] = []
    for form, worker in zip(dccf.FORMS, workers, strict=True):
        rounds = [ticks[-1] - ticks[0] for ticks in worker.rounds]
        extra = round(worker.peak_mb - worker.ready["prepared_mb"])
        sides.append({"name": NAMES[form], "seconds": statistics.median(rounds), "extra_mb": extra, "rounds": rounds})
    print(table(sides), flush=True)
    print(f"loss differs by {loss:.1e}, gradients by {gradient:.1e}; {TARGET:g} times is asked for", flush=True)
    if options.quick:
        return
    RESULTS.mkdir(exist_ok=True)
    stored = {"machine": machine, "dataset": "gowalla", "threads": 1, **setting, "loss": loss, "gradient": gradient}
    (RESULTS / "dccf.json").write_text(json.dumps({**stored, "sides": sides}, indent=1) + "\n")
    (RESULTS / "dccf.md").write_text(f"{table(sides)}\n\n{caption(machine)}\n")


if __name__ == "__main__":
    main()
