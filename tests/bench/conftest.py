import pytest
from benches import comparison, write, write_table

from gcl.bench import bench


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """A table without times."""
    return write_table(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="session")
def compared(table, tmp_path_factory):
    """(file, folder, outcome) of a small comparison."""
    folder = tmp_path_factory.mktemp("compared")
    file = write(folder, comparison(table))
    return file, folder / "out", bench(file, folder / "out")
