"""Runs of multimodal models: continued they are the same, and they score alone."""

import numpy as np
import pytest
import torch

from gcl import build
from gcl.data import Modality, Plan, from_arrays, with_modalities
from gcl.testing import tiny_dataset
from gcl.training import fit, load_run

NAMES = [name for name, where in build.MODELS.items() if ".multimodal." in where]
FAST = {"train": {"epochs": 1, "metric": "ndcg@5"}, "evaluate": {"k": [5]}, "dim": 4, "progress": False}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_scores_alone(name, tmp_path):
    data = tiny_dataset()
    half = Modality(data.modalities["image"].values.half(), data.modalities["image"].present)
    data = with_modalities(data, {"image": half})
    run = fit(name, data, out=tmp_path, **FAST)
    alone = load_run(tmp_path)
    assert alone.data.modalities["image"].values.dtype == torch.float16
    assert alone.evaluate("test").metrics == run.evaluate("test").metrics
    assert len(alone.recommend("u1", k=3)["u1"]) == 3


def test_features_in_the_configuration_come_from_their_file_once(tmp_path):
    np.savez(
        tmp_path / "look.npz", values=np.random.default_rng(0).normal(size=(18, 5)), ids=[f"i{i}" for i in range(18)]
    )
    user, item = zip(*[(f"u{u}", f"i{i}") for u in range(12) for i in range(18) if (u + i) % 2], strict=True)
    table = tmp_path / "table.csv"
    table.write_text("user,item\n" + "".join(f"{u},{i}\n" for u, i in zip(user, item, strict=True)))
    settings = {"modalities": {"look": str(tmp_path / "look.npz")}}
    run = fit("MGCN", table, data=settings, out=tmp_path / "run", **FAST)
    (tmp_path / "look.npz").unlink()
    table.unlink()
    alone = load_run(tmp_path / "run")
    assert alone.config.data["modalities"] == settings["modalities"]
    assert alone.evaluate().metrics == run.evaluate().metrics
    direct = from_arrays(
        user, item, plan=Plan(modalities={"look": {"values": np.ones((18, 2)), "ids": run.data.item_ids}})
    )
    assert direct.modalities["look"].present.all()
