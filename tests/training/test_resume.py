"""A run that was stopped anywhere, and continued, equals the one that was not, bit for bit."""

import errno
import multiprocessing
import os
import pathlib
import random
import signal
import time

import pytest
import safetensors.torch
import torch
from small import MF, Turns, child, go, same

from gcl.errors import InputError
from gcl.training import RunDirectory, WriteError, checkpoint, files, trainer
from gcl.training.device import machine


class Killed(BaseException):
    """Stands for the end of the process."""


class NoBoard:
    """TensorBoard left out where many short runs are made."""

    def __init__(self, *_):
        pass

    def scalars(self, *_):
        pass

    items = pictures = close = scalars


@pytest.fixture
def quick(monkeypatch):
    """Without TensorBoard, and without waiting for the disk: what is killed is the process, not the machine."""
    monkeypatch.setattr(trainer, "Board", NoBoard)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def operations(monkeypatch):
    """Every operation on files counts, and the one at ``operations.at`` is the last of the process."""

    class Operations:
        count, at, torn = 0, None, 0

        def __call__(self):
            self.count += 1
            if self.count == self.at:
                raise Killed

    counter = Operations()

    def counted(original):
        def call(*args, **kwargs):
            counter()
            result = original(*args, **kwargs)
            counter()
            return result

        return call

    def save_file(tensors, path, original=safetensors.torch.save_file):
        counter()
        original(tensors, path)
        if counter.count + 1 == counter.at:
            os.truncate(path, path.stat().st_size // 2)
        counter()

    monkeypatch.setattr(safetensors.torch, "save_file", save_file)
    monkeypatch.setattr(files, "sync", counted(files.sync))
    monkeypatch.setattr(pathlib.Path, "replace", counted(pathlib.Path.replace))
    monkeypatch.setattr(pathlib.Path, "unlink", counted(pathlib.Path.unlink))
    monkeypatch.setattr(RunDirectory, "append", counted(RunDirectory.append))
    return counter


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("refit", "stride"),
    [(False, 3), (True, 5), pytest.param(False, 1, marks=SLOW), pytest.param(True, 1, marks=SLOW)],
    ids=["search", "refit", "search at every", "refit at every"],
)
def test_killed_at_operations_on_files(tmp_path, quick, operations, refit, stride):
    settings = {"checkpoint_seconds": 0, "batch_size": 128, "epochs": 2, "refit": refit}
    go(tmp_path / "whole", **settings)
    total = operations.count
    assert total > 60
    for at in range(1, total + 1, stride):
        path = tmp_path / str(at)
        operations.count, operations.at = 0, at
        with pytest.raises(Killed):
            go(path, **settings)
        operations.at = None
        go(path, resume=True, **settings)
        same(tmp_path / "whole", path)


@pytest.mark.parametrize("cls", [MF, Turns])
@pytest.mark.parametrize("every", [0, 1e9], ids=["each step", "epochs only"])
def test_killed_after_every_step(tmp_path, quick, monkeypatch, cls, every):
    go(tmp_path / "whole", cls, checkpoint_seconds=every)
    plain = cls.after_step
    for at in range(1, 10):

        def after_step(self, step, at=at):
            plain(self, step)
            if step == at:
                raise Killed

        path = tmp_path / str(at)
        monkeypatch.setattr(cls, "after_step", after_step)
        with pytest.raises(Killed):
            go(path, cls, checkpoint_seconds=every)
        monkeypatch.setattr(cls, "after_step", plain)
        go(path, cls, resume=True, checkpoint_seconds=every)
        same(tmp_path / "whole", path)


def test_killed_again_and_again(tmp_path, quick, monkeypatch):
    go(tmp_path / "whole", checkpoint_seconds=0)
    original, steps = MF.after_step, []

    def after_step(self, step):
        original(self, step)
        steps.append(step)
        if len(steps) % 2 == 0:
            raise Killed

    monkeypatch.setattr(MF, "after_step", after_step)
    for attempt in range(20):
        try:
            go(tmp_path / "cut", resume=attempt > 0, checkpoint_seconds=0)
            break
        except Killed:
            continue
    assert len(steps) > max(steps)
    same(tmp_path / "whole", tmp_path / "cut")


LONG = {"epochs": 20, "batch_size": 4, "checkpoint_seconds": 0.01, "patience": None}


@pytest.fixture(scope="module")
def processes():
    """Processes that start at once, from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["small", "gcl.training", "lightning_fabric", "torch.utils.tensorboard"])

    def start(path, resume, settings=LONG):
        process = context.Process(target=child, args=(path, resume, settings))
        process.start()
        return process

    return start


def wait_for(path):
    """Wait until a run has saved its state once."""
    end = time.monotonic() + 60
    while not checkpoint.exists(path / "last"):
        assert time.monotonic() < end, "the run never saved"
        time.sleep(0.001)


@pytest.fixture(scope="module")
def whole(processes, tmp_path_factory):
    """An uninterrupted run, and how long it takes after its first checkpoint."""
    path = tmp_path_factory.mktemp("whole")
    process = processes(path, False)
    wait_for(path)
    start = time.monotonic()
    process.join()
    assert process.exitcode == 0
    return path, time.monotonic() - start


def survive(processes, whole, path, kills, seed):
    """Kill a run ``kills`` times at random moments, continue it each time, and compare."""
    chance = random.Random(seed)
    for resume in range(kills):
        process = processes(path, resume > 0)
        wait_for(path)
        time.sleep(chance.uniform(0, whole[1]))
        process.kill()
        process.join()
    process = processes(path, True)
    process.join()
    assert process.exitcode == 0
    same(whole[0], path)


@pytest.mark.parametrize("seed", range(4))
def test_kill_9(processes, whole, tmp_path, seed):
    survive(processes, whole, tmp_path, 2, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 30))
def test_kill_9_at_20_moments(processes, whole, tmp_path, seed):
    survive(processes, whole, tmp_path, 1, seed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_save_and_exit(processes, whole, tmp_path, number, code):
    settings = {**LONG, "checkpoint_seconds": 1e9}
    process = processes(tmp_path, False, settings)
    while not (tmp_path / "metrics.jsonl").exists():
        time.sleep(0.001)
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == code
    assert checkpoint.exists(tmp_path / "last")
    process = processes(tmp_path, True, settings)
    process.join()
    assert process.exitcode == 0
    same(whole[0], tmp_path)


def test_a_signal_breaks_off_an_evaluation(tmp_path, quick, monkeypatch):
    from gcl.training import Interrupted

    go(tmp_path / "whole")
    original = trainer.evaluate
    calls = []

    def evaluate(model, data, part, **settings):
        calls.append(part)
        if len(calls) in (2, 4):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        return original(model, data, part, **settings)

    monkeypatch.setattr(trainer, "evaluate", evaluate)
    before = signal.getsignal(signal.SIGTERM)
    start = time.monotonic()
    with pytest.raises(Interrupted, match="goes on with gcl train --resume") as caught:
        go(tmp_path / "cut")
    assert caught.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(Interrupted):
        go(tmp_path / "cut", resume=True)
    go(tmp_path / "cut", resume=True)
    assert time.monotonic() - start < 9
    same(tmp_path / "whole", tmp_path / "cut")


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("what", ["tensors", "index", "metrics"])
def test_disk_full(tmp_path, quick, monkeypatch, what):
    go(tmp_path / "whole", checkpoint_seconds=0)
    steps = []

    def after_step(self, step, original=MF.after_step):
        original(self, step)
        steps.append(step)

    monkeypatch.setattr(MF, "after_step", after_step)
    targets = {
        "tensors": (safetensors.torch, "save_file"),
        "index": (pathlib.Path, "write_text"),
        "metrics": (pathlib.Path, "open"),
    }
    original = getattr(*targets[what])

    def sometimes(*args, **kwargs):
        return full() if len(steps) == 6 and (what != "metrics" or "a" in args) else original(*args, **kwargs)

    monkeypatch.setattr(*targets[what], sometimes)
    with pytest.raises(WriteError, match=r"Cannot write .*No space left on device.*intact"):
        go(tmp_path / "cut", checkpoint_seconds=0)
    monkeypatch.setattr(*targets[what], original)
    checkpoint.load(tmp_path / "cut/last")
    go(tmp_path / "cut", resume=True, checkpoint_seconds=0)
    same(tmp_path / "whole", tmp_path / "cut")


def limited(path, size):
    """Train where no file may grow beyond ``size`` bytes."""
    import resource

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        go(path, checkpoint_seconds=0)
    except WriteError as error:
        raise SystemExit(7 if "File too large" in str(error) else 8) from error


def test_a_file_system_that_takes_no_more(tmp_path):
    process = multiprocessing.get_context("forkserver").Process(target=limited, args=(tmp_path, 4096))
    process.start()
    process.join()
    assert process.exitcode == 7
    assert not list(tmp_path.rglob("*.tmp"))


def test_finished_run_returns_its_result(tmp_path, quick):
    result, _ = go(tmp_path)
    assert go(tmp_path, resume=True)[0] == result
    with pytest.raises(InputError, match=r"holds a finished run\. Continue it with --resume"):
        go(tmp_path)


def test_resume_of_nothing_starts_anew_and_says_so(tmp_path, quick, caplog):
    go(tmp_path / "whole")
    RunDirectory(tmp_path / "cut").path.mkdir()
    (tmp_path / "cut/metrics.jsonl").write_text('{"epoch": 1}\n')
    go(tmp_path / "cut", resume=True)
    assert "holds no checkpoint yet: training starts anew" in caplog.text
    same(tmp_path / "whole", tmp_path / "cut")


def cut(path, step=7, **settings):
    """A run that was killed at a step, its state saved after every step."""
    original = MF.after_step

    def after_step(self, now):
        original(self, now)
        if now == step:
            raise Killed

    MF.after_step = after_step
    try:
        go(path, checkpoint_seconds=0, **settings)
    except Killed:
        pass
    finally:
        MF.after_step = original


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.01}, "train.lr is 0.01 and was 0.05"),
        ({"epochs": 9}, "train.epochs is 9 and was 3"),
        ({"seed": 1}, "seed is 1 and was 0"),
    ],
)
def test_changed_settings(tmp_path, quick, change, message):
    cut(tmp_path)
    with pytest.raises(InputError, match=message):
        go(tmp_path, resume=True, **change)
    go(tmp_path, resume=True, checkpoint_seconds=5)


def test_changed_data(tmp_path, quick):
    from gcl.testing import tiny_dataset

    cut(tmp_path)
    with pytest.raises(InputError, match=r"split is '\w{16}' and was '\w{16}'.*new run in another folder"):
        go(tmp_path, resume=True, data=tiny_dataset(seed=1))


def test_changed_threads_are_told(tmp_path, quick, caplog):
    cut(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        go(tmp_path, resume=True)
    finally:
        torch.set_num_threads(before)
    assert f"began with {before} threads and goes on with {before + 1}" in caplog.text


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("torch", f"began with torch 1.0 and goes on with torch {torch.__version__}"),
        ("cpu", "began with a processor 1.0 and goes on with a processor "),
    ],
)
def test_another_machine_is_told(tmp_path, quick, caplog, monkeypatch, what, text):
    now = machine()
    monkeypatch.setattr(trainer, "machine", lambda: {**now, what: "1.0"})
    cut(tmp_path)
    go(tmp_path, resume=True)
    (line,) = [r.getMessage() for r in caplog.records if "bit for bit" in r.getMessage()]
    assert text in line and line.endswith("it will not equal the uninterrupted run bit for bit")


def test_damaged_checkpoints(tmp_path, quick):
    cut(tmp_path)
    last = tmp_path / "last"
    (tensors,) = last.glob("*.safetensors")
    whole, index = tensors.read_bytes(), (last / "checkpoint.json").read_text()

    def refused(message):
        with pytest.raises(InputError, match=message):
            go(tmp_path, resume=True)

    tensors.write_bytes(whole[: len(whole) // 2])
    refused("truncated or changed after it was written: its SHA-256 is not the one")
    tensors.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused("truncated or changed after it was written")
    tensors.unlink()
    refused("is missing, and .*checkpoint.json needs it")
    tensors.write_bytes(whole)
    (last / "checkpoint.json").write_text(index[:100])
    refused("checkpoint.json was truncated or changed")
    (last / "checkpoint.json").write_text(index.replace("0.05", "0.06"))
    refused("checkpoint.json was truncated or changed")
    (last / "checkpoint.json").write_text("[]")
    refused("checkpoint.json was truncated or changed")
    (last / "checkpoint.json").write_text(index)
    lines = (tmp_path / "metrics.jsonl").read_text()
    (tmp_path / "metrics.jsonl").write_text(lines[:-9])
    refused("metrics.jsonl was truncated after it was written")
    (tmp_path / "metrics.jsonl").write_text(lines)
    go(tmp_path, resume=True)


def test_a_killed_run_holds_its_folder(tmp_path, quick):
    cut(tmp_path)
    with pytest.raises(InputError, match="holds a run that can go on. Continue it with --resume"):
        go(tmp_path)
