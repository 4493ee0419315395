"""The train part of gowalla, read plainly; and a fresh count of peak memory."""

import os
from pathlib import Path

import numpy as np
import torch

from gcl.data import TrainInteractions


def train() -> TrainInteractions:
    """810,128 interactions of 29,858 users and 40,981 items, from ``GCL_DATA``."""
    lines = (Path(os.environ["GCL_DATA"]) / "cf" / "gowalla" / "train.txt").read_text().splitlines()
    rows = [np.array(line.split(), dtype=np.int64) for line in lines]
    user = torch.from_numpy(np.concatenate([np.full(len(row) - 1, row[0]) for row in rows]))
    item = torch.from_numpy(np.concatenate([row[1:] for row in rows]))
    return TrainInteractions(user, item, int(user.max()) + 1, int(item.max()) + 1)


def forget() -> None:
    """Count the highest resident memory of this process from here on."""
    Path("/proc/self/clear_refs").write_text("5")
