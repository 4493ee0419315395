import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from calls import gcl, good

from gcl.errors import InputError

ROOT = Path(__file__).parents[2]


def process(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-m", "gcl.cli", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("command", "group"), [("models", "family"), ("losses", "kind"), ("views", "kind")])
def test_lists(command, group):
    found = good(command, "--json").json
    assert {"name", group, "reference", "arguments"} <= set(found[0])
    called = good(command)
    assert found[0]["name"] in called.out
    one = good(command, found[0]["name"], "--json").json
    assert one == found[0]


def test_a_description_is_the_whole_docstring():
    called = good("losses", "InfoNCE")
    assert "InfoNCE  (family softmax, kind pair, van den Oord et al., 2018)" in called.out
    assert "Args:" in called.out
    assert "temperature" in called.out
    assert "LogRatio(denominator='all'" in called.out, "the slots it is made of"
    assert "`" not in called.out


@pytest.mark.parametrize(
    ("command", "name", "text"),
    [
        ("models", "SimGLC", "Unknown model 'SimGLC'. Did you mean 'SimGCL'?"),
        ("losses", "InfoNC", "Unknown objective 'InfoNC'. Did you mean 'InfoNCE'?"),
        ("views", "Nose", "Unknown view 'Nose'. Did you mean 'Noise'?"),
    ],
)
def test_unknown_names(command, name, text):
    called = gcl(command, name)
    assert called.code == 2
    assert text in called.err


def test_usage_errors_exit_with_2():
    assert gcl("trian").code == 2
    assert gcl("train", "EASE", "x", "--sed", "1").code == 2
    assert gcl("train", "EASE", "x", "--seed", "one").code == 2


def test_help_and_version_are_fast_and_load_no_torch():
    code = "import sys; sys.argv = ['gcl', '--help']\nfrom gcl.cli import main\n"
    code += "try:\n    main()\nexcept SystemExit:\n    pass\n"
    code += "assert not {'torch', 'polars', 'numpy', 'pydantic'} & set(sys.modules), sorted(sys.modules)"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "recommend" in done.stdout
    assert time.perf_counter() - start < 5
    assert process("--version").stdout.startswith("gcl")


def test_import_paths_are_found_in_the_current_folder(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from gcl.recommenders.general.ease import EASE\nclass Mine(EASE):\n    'A model of my own. Really.'\n"
    )
    code = "import sys; sys.argv = ['gcl', 'models', 'mine:Mine']; from gcl.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "A model of my own. Really." in done.stdout


def test_debug_keeps_the_traceback(monkeypatch):
    monkeypatch.setenv("GCL_DEBUG", "1")
    assert isinstance(gcl("models", "SimGLC").error, InputError)
    monkeypatch.setattr("gcl.catalogue.models", lambda: 1 / 0)
    assert isinstance(gcl("models").error, ZeroDivisionError)


def test_failures_exit_with_1_and_name_themselves(monkeypatch):
    monkeypatch.setattr("gcl.catalogue.models", lambda: 1 / 0)
    called = gcl("models")
    assert called.code == 1
    assert "Error: ZeroDivisionError: division by zero Set GCL_DEBUG=1 to see the traceback." in called.err


def test_doctor_knows_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("GCL_DATA", str(tmp_path))
    found = good("doctor", "--json").json
    assert set(found) == {"python", "platform", "packages", "extras", "torch", "recbole", "data", "configs"}
    assert found["packages"]["torch"]
    assert found["torch"]["threads"] >= 1
    assert "ml-100k" in found["data"]["cards"]
    text = good("doctor").out
    assert "threads" in text
    assert str(tmp_path) in text


def test_an_interrupt_saves_and_exits_with_130(table, tmp_path):
    arguments = ["train", "LightGCN", table, "dim=4", "train.epochs=1000000", "train.patience=null", "evaluate.k=[5]"]
    arguments += ["train.metric=ndcg@5", "train.checkpoint_seconds=0", "--device", "cpu", "--out", tmp_path / "run"]
    command = [sys.executable, "-m", "gcl.cli", *map(str, arguments)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any((tmp_path / "run/last").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130, told
    assert f"goes on with gcl train --resume {tmp_path / 'run'}" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("command", [("models",), ("losses",), ("views",), ("datasets", "list")])
def test_a_list_in_a_pipe_has_a_line_an_entry(command):
    entries = good(*command, "--json").json
    lines = good(*command).out.rstrip("\n").split("\n")
    assert len(lines) == len(entries) + 1
    assert [line.split()[0] for line in lines[1:]] == [e["name"] for e in entries]
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize("command", ["models", "losses", "views"])
def test_a_list_on_a_narrow_terminal_keeps_names_and_a_line_an_entry(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    entries = good(command, "--json").json
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in good(command).out.rstrip("\n").split("\n")]
    assert len(lines) == len(entries) + 1 and max(map(len, lines)) <= 80
    for entry, line in zip(entries, lines[1:], strict=True):
        kind = entry.get("kind", entry.get("family"))
        assert line.split()[0] == entry["name"] and kind in line.split()


def test_losses_are_grouped_by_family_and_say_what_they_reduce_to():
    families = [e["family"] for e in good("losses", "--json").json]
    assert families == sorted(families)
    out = good("losses", "HardNegative").out
    assert "HardNegative  (family negatives, kind pair, Robinson et al., ICLR 2021)" in out
    assert "reduces to\nDebiasedContrast with beta=0\nNTXent with beta=0 and tau_plus=0\n" in out
