"""A folder belongs to one process at a time, and to nobody once that process has ended."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
from ownmethod import blocks
from small import go

import gcl
from gcl.errors import InputError
from gcl.testing import tiny_dataset
from gcl.training import RunDirectory, pretrain, resume
from gcl.training.locks import NAME, locked

HOLD = (
    "import sys, filelock; a = filelock.FileLock(sys.argv[1]); a.acquire(); print('held', flush=True); sys.stdin.read()"
)


@contextmanager
def another_process_in(folder):
    """Another process holds the lock of a folder; it is killed at the end."""
    command = [sys.executable, "-c", HOLD, str(folder / NAME)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield
        finally:
            process.kill()


def fitted(out):
    """A run of two epochs."""
    settings = {"train": {"epochs": 2, "metric": "ndcg@5"}, "evaluate": {"k": [5]}}
    return gcl.fit("LightGCN", tiny_dataset(), **settings, dim=4, out=out, device="cpu", progress=False)


@pytest.mark.parametrize(
    "start",
    [
        lambda out: fitted(out),
        lambda out: go(out),
        lambda out: go(out, resume=True),
        lambda out: pretrain("GRACE", blocks(), train={"epochs": 1}, out=out, device="cpu"),
    ],
    ids=["fit", "train", "train on", "pretrain"],
)
def test_nothing_starts_in_a_folder_at_work(start, tmp_path):
    with another_process_in(tmp_path), pytest.raises(InputError, match="Another process is at work in "):
        start(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {NAME}
    start(tmp_path)


def test_a_run_at_work_is_not_resumed(tmp_path):
    done = fitted(tmp_path)
    RunDirectory(tmp_path).result.unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with another_process_in(tmp_path), pytest.raises(InputError, match="Another process is at work in "):
        resume(tmp_path, progress=False)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert resume(tmp_path, progress=False).result["metrics"] == done.result["metrics"]


def test_who_waits_gets_the_folder_of_a_killed_process(tmp_path):
    with another_process_in(tmp_path):
        pass
    with locked(tmp_path, wait=True), locked(tmp_path):
        assert (tmp_path / NAME).is_file()


def test_no_folder(tmp_path):
    (tmp_path / "file").touch()
    text = "out must name a folder that can be written, got .*file"
    with pytest.raises(InputError, match=text), locked(tmp_path / "file"):
        pass
