import shutil

import pytest
from calls import QUICK, good, rows, write_csv


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """A small table with ids that hold blanks and letters outside ASCII."""
    return write_csv(tmp_path_factory.mktemp("table") / "ratings.csv", rows())


@pytest.fixture(scope="session")
def trained(table, tmp_path_factory):
    """Name -> the folder of a run on the table."""
    folder = tmp_path_factory.mktemp("runs")
    for model, extra in (("LightGCN", ["dim=8"]), ("EASE", []), ("Popularity", [])):
        good("train", model, table, *extra, *QUICK, "--out", folder / model)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of a run that may be damaged."""

    def copy(name):
        return shutil.copytree(trained[name], tmp_path / f"copy-{name}")

    return copy
