"""Shared fixtures: the data folder, small data sets."""

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def gcl_data() -> Path:
    """The folder named by GCL_DATA, or a skip that says so."""
    folder = os.environ.get("GCL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("GCL_DATA does not name a folder with the data sets")
    return Path(folder).resolve()


@pytest.fixture
def rng() -> torch.Generator:
    """A generator with a fixed seed."""
    return torch.Generator().manual_seed(0)
