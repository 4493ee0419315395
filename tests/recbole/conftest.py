"""RecBole, where it can run."""

import logging

import pytest

pytest.importorskip("recbole", reason="recbole is not installed")


@pytest.fixture(autouse=True)
def quiet():
    """No line an epoch."""
    logging.getLogger("gcl.recbole").setLevel(logging.WARNING)
