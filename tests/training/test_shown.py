"""What people see of a training: TensorBoard, a bar, lines."""

import sys

import pytest
import torch
from small import MF, Counting, go
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gcl.recommenders.general.dccf import DCCF
from gcl.testing import tiny_dataset
from gcl.training import RunDirectory, TrainSettings, train
from gcl.training.board import Board
from gcl.training.progress import Bar, Lines, Reporter, reporter
from gcl.training.seeds import initialising


def events(path):
    found = EventAccumulator(str(path), size_guidance={"scalars": 0})
    found.Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_holds_every_number(tmp_path):
    go(tmp_path)
    shown, lines = events(tmp_path), RunDirectory(tmp_path).lines()
    numbers = {name for line in lines for name, value in line.items() if isinstance(value, float)}
    assert set(shown) == numbers
    assert {
        "loss", "loss/rank", "gradient/norm", "valid/ndcg@5", "diagnostics/alignment", "diagnostics/uniformity/user",
        "diagnostics/effective_rank/item", "diagnostics/popularity_correlation", "diagnostics/score_overlap",
    } <= numbers  # fmt: skip
    for name in ("loss", "valid/ndcg@5"):
        assert [step for step, _ in shown[name]] == [1, 2, 3]
        assert [value for _, value in shown[name]] == pytest.approx([line[name] for line in lines])


def test_the_projector_has_labels(tmp_path, data):
    go(tmp_path)
    (folder,) = tmp_path.glob("*/items")
    head, *rows = (folder / "metadata.tsv").read_text().splitlines()
    assert head == "id\ttrain rows\ttitle"
    degrees = [int(row.split("\t")[1]) for row in rows]
    assert degrees == sorted(degrees, reverse=True) and len(rows) == data.num_items
    assert len((folder / "tensors.tsv").read_text().splitlines()) == data.num_items


class Failing(MF):
    fail = False

    def after_step(self, step):
        super().after_step(step)
        if Failing.fail and step == 8:
            raise KeyboardInterrupt


def test_resuming_hides_what_is_written_again(tmp_path):
    Failing.fail = True
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, Failing, checkpoint_seconds=1e9)
    Failing.fail = False
    go(tmp_path, Failing, resume=True)
    assert len(list(tmp_path.glob("events.*"))) == 2
    assert [step for step, _ in events(tmp_path)["loss"]] == [1, 2, 3]


def test_refit_follows_the_search(tmp_path):
    result, _ = go(tmp_path, refit=True)
    assert [step for step, _ in events(tmp_path)["loss"]] == list(range(1, 4 + result["best_epoch"]))


def test_a_model_without_vectors(tmp_path):
    go(tmp_path, Counting)
    assert "valid/ndcg@5" in events(tmp_path) and not list(tmp_path.glob("*/items"))


def shown(data, path, **settings):
    chosen = TrainSettings(epochs=2, metric="ndcg@5", batch_size=64, **settings)
    with initialising(0):
        model = MF(data)
    return train(model, data, chosen, {"k": (5,)}, run=RunDirectory(path), device="cpu")


def test_lines_where_there_is_no_terminal(tmp_path, data, capsys):
    result = shown(data, tmp_path)
    out, err = capsys.readouterr()
    first, one, two = err.splitlines()
    assert out == "" and first == "small:MF on tiny: 2 epochs of 3 steps"
    assert one.startswith("epoch 1/2  loss ") and "  ndcg@5 0." in one and "(best 0." in one and one.endswith(" left")
    assert two.startswith("epoch 2/2") and two.endswith(f"at {result['best_epoch']})  0 s left")


def test_a_bar_on_a_terminal(tmp_path, data, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    shown(data, tmp_path)
    out, err = capsys.readouterr()
    assert out == ""
    assert "small:MF on tiny" in err and "loss " in err and "ndcg@5 0." in err and "0:00:00" in err


def test_reporters():
    assert type(reporter(False)) is Reporter
    assert isinstance(reporter(True), Bar | Lines)
    with Reporter() as silent:
        silent.start("a", 1, 1, 0, 0)
        silent.step()
        silent.epoch(1, 0.5, "")
        silent.say("x")


def test_diagnostics_leave_the_model_and_torch_alone(data):
    from gcl.training.diagnose import diagnose

    model = MF(data).train()
    state = torch.get_rng_state()
    first = diagnose(model, data, 0)
    assert model.training and torch.equal(torch.get_rng_state(), state)
    assert diagnose(model, data, 0) == first != diagnose(model, data, 1)
    assert diagnose(Counting(data), data, 0) == {}


def test_learnt_views_are_shown_as_pictures(tmp_path):
    board = Board(tmp_path, 0)
    board.pictures(DCCF(tiny_dataset(), dim=8, intents=4), 3)
    board.close()
    found = EventAccumulator(str(tmp_path)).Reload()
    assert set(found.Tags()["images"]) == {
        "views/mask/degree",
        "views/intents/similarity/0",
        "views/intents/similarity/1",
    }
    image = found.Images("views/intents/similarity/0")[0]
    assert (image.step, image.width, image.height) == (3, 256, 256)
