"""gcl: an epoch of its training loop, on its own loader; ``gcl.data.load`` on a file."""

from collections.abc import Callable
from typing import Any

import torch

import gcl.data
from gcl.build import create
from gcl.data import Dataset
from gcl.training.device import deterministic, fabric
from gcl.training.seeds import borrowed, initialising
from gcl.training.settings import TrainSettings
from gcl.training.stage import Stage


def dataset(name: str) -> Dataset:
    """The data set as trained here: a published split without a valid part keeps all its train rows."""
    data = gcl.data.load(name)
    return data.refit() if data.split.made.get("kind") == "given" else data


def train(job: dict[str, Any]) -> Callable[[], None]:
    """``Stage.run_epoch``: it begins with the permutation and the negatives of the whole epoch.

    A step includes the norm of the gradients and the sums of the terms that the loop keeps for its log.
    """
    device, data = torch.device("cpu"), dataset(job["dataset"])
    with initialising(0):
        sizes = {name: job[name] for name in ("layers", "dim") if name in job}
        model = create(job["model"], data, {**sizes, **job["options"]})
    with borrowed(device) as ambient:
        stage = Stage(model, data, TrainSettings(batch_size=job["batch_size"]), 0, fabric(device, "32"), ambient)

    def epoch() -> None:
        stage.next_epoch()
        with deterministic(device):
            for _ in stage.run_epoch():
                pass

    return epoch


def load(job: dict[str, Any]) -> Callable[[], object]:
    """Reading, ids, repeated pairs, and the 8:1:1 split by user."""
    return lambda: gcl.data.load(job["file"])
