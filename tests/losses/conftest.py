"""Fixtures of the check values: O all views the identity, C collapsed, K classes of equal rows, R random."""

import pytest
import torch

from gcl.losses.functional import partition


@pytest.fixture
def eye():
    return torch.eye(4, dtype=torch.float64)


@pytest.fixture
def collapsed():
    return torch.eye(4, dtype=torch.float64)[:1].expand(4, 4).clone()


@pytest.fixture
def classes():
    """K(3, 4): rows of class k equal e_k, and their labels."""
    labels = torch.arange(3).repeat_interleave(4)
    return torch.eye(3, dtype=torch.float64)[labels], labels


@pytest.fixture
def views():
    generator = torch.Generator().manual_seed(7)
    return tuple(torch.randn(9, 5, generator=generator, dtype=torch.float64) for _ in range(3))


@pytest.fixture(params=[False, True], ids=["dense", "streamed"])
def streamed(request, monkeypatch):
    """The test with matrices kept, and again with small tiles alone."""
    if request.param:
        monkeypatch.setitem(partition.DENSE_BUDGET, "cpu", 0)
        monkeypatch.setitem(partition.TILE, "cpu", 20)
        monkeypatch.setattr(partition, "LEAST_ROWS", 1)
