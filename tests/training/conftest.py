"""Fixtures of training tests."""

import pytest

from gcl.testing import tiny_dataset


@pytest.fixture
def data():
    """The tiny data set."""
    return tiny_dataset()
