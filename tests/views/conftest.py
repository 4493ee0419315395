"""The small graph and its representations."""

import pytest
import torch

from gcl.graph import Adjacency
from tests.views.graphs import DATA, SIDES


@pytest.fixture
def adj():
    return Adjacency.bipartite(DATA.train).normalize("sym")


@pytest.fixture
def x():
    return torch.randn(sum(SIDES), 8, generator=torch.Generator().manual_seed(5))
