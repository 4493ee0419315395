"""RecBole's models as rows."""

import pytest
from benches import SHORT, comparison, write

from gcl.bench import bench
from gcl.errors import InputError


@pytest.mark.slow
def test_rows_of_recbole(table, tmp_path):
    pytest.importorskip("recbole")
    models = {
        "Popularity": None,
        "ItemKNN": {"engine": "recbole", "settings": {"k": 5}},
        "RecBole/BPR": {"model": "BPR", "engine": "recbole", "settings": {"embedding_size": 8}},
    }
    tree = comparison(table, seeds=[0], reference="Popularity", models=models, settings={**SHORT, "dim": 8})
    tree["models"]["Popularity"] = {"without": ["dim"]}
    outcome = bench(write(tmp_path, tree), tmp_path / "out")
    assert outcome.failed == {}
    (found,) = outcome.tables
    assert [line.label for line in found.lines] == list(models)
    assert all(len(line.against) == 1 for line in found.lines[1:])
    assert found.lines[2].cut == "cut at 2 epochs"
    assert outcome.records[1]["engine"] == "recbole"


def test_unknown_model_of_recbole(table, tmp_path):
    pytest.importorskip("recbole")
    tree = comparison(table, reference=[], models={"A": {"model": "ItemKN", "engine": "recbole"}})
    with pytest.raises(InputError, match=r"small.yaml: models.A: .*ItemKNN"):
        bench(write(tmp_path, tree), tmp_path / "out")
