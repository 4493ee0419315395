"""The notebook runs as it is printed, with fewer epochs."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "benchmarks/notebooks/graph_ssl.ipynb"


@pytest.mark.data
def test_the_notebook_runs(gcl_data):
    pytest.importorskip("matplotlib")
    found = json.loads(NOTEBOOK.read_text())
    texts = ["".join(cell["source"]) for cell in found["cells"] if cell["cell_type"] == "code"]
    assert len(texts) == 5 and not any(cell.get("outputs") for cell in found["cells"])
    names: dict = {}
    for text in texts:
        exec(text.replace("range(40)", "range(8)").replace("steps=200", "steps=60"), names)
    accuracy = {name: probe.accuracy for name, probe in names["figures"].items()}
    assert accuracy["CCA-SSG"] > accuracy["raw features"] + 5
    assert len(names["axes"].collections[0].get_offsets()) == 2708
