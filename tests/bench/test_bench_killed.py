"""A comparison that is killed at any moment and started again comes to the same report."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from benches import comparison, stable, without_cost, write

KILLS, CELLS = 5, 4


def command(file, out):
    return [sys.executable, "-m", "gcl.cli", "bench", str(file), "--out", str(out)]


def results(out):
    return [stable(json.loads(line)) for line in (out / "results.jsonl").read_text().splitlines()]


def begun(out):
    """How many runs have a folder."""
    return len(list(out.glob("ratings/*/config.yaml")))


@pytest.mark.slow
def test_killed_and_resumed(table, tmp_path):
    """Five SIGKILLs, in turn of the command alone and of all its processes."""
    tree = comparison(table, models={"LightGCN": comparison(table)["models"]["LightGCN"]}, reference=[])
    tree["settings"] = {**tree["settings"], "train.epochs": 12, "train.patience": 12, "train.checkpoint_seconds": 0.01}
    file, out, chance = write(tmp_path, tree), tmp_path / "killed", random.Random(0)
    for kill in range(KILLS):
        process = subprocess.Popen(command(file, out), stderr=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + 60
        wanted = min(begun(out) + 1, CELLS)
        while begun(out) < wanted and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.6))
        os.killpg(process.pid, signal.SIGKILL) if kill % 2 else process.kill()
        assert process.wait() in (-signal.SIGKILL, 0)
    done = subprocess.run(command(file, out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    straight = tmp_path / "straight"
    subprocess.run(command(file, straight), check=True, capture_output=True)
    assert results(out) == results(straight)
    assert without_cost((out / "report.md").read_text()) == without_cost((straight / "report.md").read_text())
