"""Several systems measured beside each other: a process each, one round of each after the other, again and again."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS")
ONE_THREAD = dict.fromkeys(POOLS, "1")


class Worker:
    """A running ``benchmarks.systems.worker``; it idles, at no CPU time, between rounds."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job, self.rounds, self.peak_mb = job, [], 0.0
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by close)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.systems.worker", json.dumps(job)],
            cwd=ROOT, env={**os.environ, **ONE_THREAD}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, text=True,
        )  # fmt: skip
        self.ready = self._answer()

    def round(self) -> None:
        """Measure once more."""
        assert self.process.stdin is not None
        self.process.stdin.write("again\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.rounds.append(answer["ticks"])
        self.peak_mb = answer["peak_mb"]

    def close(self) -> None:
        """End the process and wait for it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(f"{self.job} ended early:\n{self.errors.read()[-3000:]}")
        return dict(json.loads(line))


def interleave(jobs: list[dict[str, Any]], rounds: int) -> list[Worker]:
    """All jobs, ``rounds`` times each, in turns; the first round of each is a warm-up and thrown away."""
    workers = [Worker(job) for job in jobs]
    try:
        for number in range(rounds + 1):
            for worker in workers:
                worker.round()
                if number == 0:
                    worker.rounds.clear()
    finally:
        for worker in workers:
            worker.close()
    return workers
