"""What a run writes: checkpoints, the data set, the folder."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small import MF, go

from gcl.errors import InputError
from gcl.testing import tiny_dataset
from gcl.training import RunDirectory, WriteError, checkpoint, files, stored
from gcl.training.locks import NAME


def test_checkpoint_round_trip(tmp_path):
    shared = torch.arange(6.0)
    tensors = {
        "a": shared, "b": shared.view(2, 3).T, "tied": shared, "scalar": torch.tensor(2.0), "empty": torch.zeros(0, 3),
        "flag": torch.tensor([True]), "bytes": torch.zeros(4, dtype=torch.uint8), "long": torch.tensor([1 << 40]),
    }  # fmt: skip
    facts = {"x": 0.1, "nested": {"none": None, "list": [1, "ü"]}}
    checkpoint.save(tmp_path / "c", tensors, facts)
    loaded, told = checkpoint.load(tmp_path / "c")
    assert told == facts and loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[n], tensors[n]) and loaded[n].dtype == tensors[n].dtype for n in tensors)


def test_checkpoint_keeps_what_is_asked(tmp_path):
    first = checkpoint.save(tmp_path, {"a": torch.zeros(1)}, {})
    second = checkpoint.save(tmp_path, {"a": torch.ones(1)}, {}, keep=[first["file"]])
    assert {p.name for p in tmp_path.iterdir()} == {"checkpoint.json", first["file"], second["file"]}
    checkpoint.point(tmp_path, first)
    assert float(checkpoint.load(tmp_path)[0]["a"]) == 0
    checkpoint.save(tmp_path, {"a": torch.ones(1)}, {})
    assert len(list(tmp_path.iterdir())) == 2


def test_a_checkpoint_without_its_tensors(tmp_path):
    record = checkpoint.save(tmp_path, {"a": torch.zeros(1)}, {})
    (tmp_path / record["file"]).unlink()
    with pytest.raises(InputError) as caught:
        checkpoint.load(tmp_path)
    index = tmp_path / "checkpoint.json"
    assert str(caught.value) == (
        f"{tmp_path / record['file']} is missing, and {index} needs it; put it back, or train anew."
    )


def test_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"holds no checkpoint: checkpoint.json is missing"):
        checkpoint.load(tmp_path)


def test_a_failed_write_leaves_the_file(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"a": {1, 2}})
    assert path.read_text() == '{\n "a": 1\n}\n'
    with pytest.raises(WriteError, match=r"Cannot write .*missing/a.json: No such file or directory"):
        files.write_json(tmp_path / "missing/a.json", {})


def columns():
    lists = np.empty(18, dtype=object)
    lists[:] = [["a", "b"][: i % 3] for i in range(18)]
    return {
        "title": np.array([f"Tïtle {i}" for i in range(18)]),
        "year": np.arange(18, dtype=np.int32),
        "price": np.where(np.arange(18) % 2, np.nan, 0.5),
        "genres": lists,
        "seen": np.arange("2020-01-01", "2020-01-19", dtype="datetime64[D]"),
        "flag": np.arange(18) % 2 == 0,
    }


def test_data_set_round_trip(tmp_path):
    data = replace(tiny_dataset(), item_columns=columns(), user_columns={"age": np.arange(24.0)}, card={"a": [1]})
    stored.write(tmp_path, data, {"data": {"seed": 1}})
    read = stored.read(tmp_path)
    assert stored.settings(tmp_path) == {"data": {"seed": 1}}
    assert read.split.hash == data.split.hash and read.split.made == data.split.made
    for part in ("train", "valid", "test"):
        for column in ("user", "item", "time"):
            assert torch.equal(getattr(getattr(read, part), column), getattr(getattr(data, part), column))
    assert read.user_ids.tolist() == data.user_ids.tolist() and read.item_ids.tolist() == data.item_ids.tolist()
    for name, column in data.item_columns.items():
        assert read.item_columns[name].dtype == column.dtype, name
        np.testing.assert_array_equal(read.item_columns[name], column)
    assert read.user_columns["age"].tolist() == list(range(24))
    assert read.name == "tiny" and read.card == {"a": [1]}
    for name, modality in data.modalities.items():
        assert torch.equal(read.modalities[name].values, modality.values)
        assert torch.equal(read.modalities[name].present, modality.present)
    read.modalities["image"].values.zero_()
    assert bool((stored.read(tmp_path).modalities["image"].values != 0).any()), "what is mapped cannot be changed"


def test_nothing_is_kept_that_is_not_needed(tmp_path):
    data = replace(tiny_dataset(time=False), item_columns=columns(), user_columns={"age": np.arange(24.0)})
    assert set(stored.kept(data, {"columns"}, ()).item_columns) == set(columns())
    assert set(stored.kept(data, {"columns"}, ()).user_columns) == {"age"}
    assert set(stored.kept(data, {"modalities"}, ()).modalities) == {"text", "image"}
    stored.write(tmp_path, stored.kept(data, {"time"}, ("title", "genres")))
    read = stored.read(tmp_path)
    assert not read.modalities and not read.ordered
    assert set(read.item_columns) <= {"title", "genres"} and "genres" in read.item_columns and not read.user_columns
    assert "age" not in (tmp_path / "dataset.json").read_text()
    assert not list(tmp_path.glob("modality-*"))


def test_changed_data(tmp_path):
    data = tiny_dataset()
    stored.write(tmp_path, data)
    arrays = dict(np.load(tmp_path / "interactions.npz"))
    arrays |= {name: arrays[name][1:] for name in arrays if name.startswith("test/")}
    np.savez(tmp_path / "interactions.npz", **arrays)
    with pytest.raises(InputError, match=r"interactions.npz was changed after it was written: the split has hash"):
        stored.read(tmp_path)
    stored.write(tmp_path, data)
    for name in ("interactions.npz", "modality-text.npy", "modality-image-present.npy", "dataset.json"):
        whole = (tmp_path / name).read_bytes()
        for part in (whole[:-9], whole[: len(whole) // 2], whole[:2], b"", b"[]", None):
            (tmp_path / name).unlink() if part is None else (tmp_path / name).write_bytes(part)
            with pytest.raises(InputError, match=r"The data stored in .* cannot be read .*put the original files back"):
                stored.read(tmp_path)
        if name == "dataset.json":
            with pytest.raises(InputError, match="The data stored in .* cannot be read"):
                stored.settings(tmp_path)
        (tmp_path / name).write_bytes(whole)
    stored.read(tmp_path)


def test_starting_in_a_folder(tmp_path):
    run = RunDirectory(tmp_path / "a")
    run.path.mkdir()
    run.start()
    run.append({"epoch": 1})
    run.write_config("x")
    checkpoint.save(run.best, {}, {})
    (run.path / "events.out.tfevents.1").touch()
    (run.path / "notes.txt").touch()
    run.start()
    assert {p.name for p in run.path.iterdir()} == {"best", "notes.txt"}


def test_unreadable_json(tmp_path):
    run = RunDirectory(tmp_path)
    with pytest.raises(InputError, match=r"environment.json cannot be read .* is .* the folder of a run"):
        run.read_json(run.environment)


def test_nothing_is_pickled(tmp_path):
    go(tmp_path, MF)
    found = {p.suffix for p in tmp_path.rglob("*") if p.is_file() and "tfevents" not in p.name and p.name != NAME}
    assert found == {".json", ".jsonl", ".safetensors", ".tsv", ".pbtxt"}
