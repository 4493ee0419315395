"""How a report is written."""

import sys

import pytest
from benches import comparison, write

from gcl.bench import bench
from gcl.bench.blocks import Fold, Grid, Heading, Paragraph, Plot, Text, markdown, page
from gcl.bench.words import shared, word, words

BLOCKS = [
    Heading(1, "A & B"),
    Paragraph("small <print>", small=True),
    Grid(
        ("model", "x", "note"), [[Text("a|b", under="c<d"), Text("1", "best"), Text("", "muted")]], frozenset({"note"})
    ),
    Plot("<svg/>", "a 'picture'"),
    Fold("more", (Paragraph("inside"),)),
]


def test_markdown():
    assert markdown(BLOCKS) == (
        "# A & B\n\nsmall <print>\n\n| model | x | note |\n| --- | ---: | --- |\n| a\\|b (c<d) | **1** |  |\n\n"
        "**more**\n\ninside\n"
    )


def test_page():
    told = page("A & B", BLOCKS)
    for text in (
        "<title>A &amp; B</title>",
        "<h1>A &amp; B</h1>",
        '<p class="small">small &lt;print&gt;</p>',
        '<td>a|b<div class="under">c&lt;d</div></td>',
        '<td><span class="best">1</span></td><td class="left"><span class="muted"></span></td>',
        '<div class="plots"><figure><img alt="a &#x27;picture&#x27;" src="data:image/svg+xml;base64,PHN2Zy8+">',
        "<details><summary>more</summary>",
    ):
        assert text in told


def test_words():
    assert (
        words({"dim": 4, "objective": "DCL", "train.metric": "ndcg@10"}) == "dim=4 objective=DCL train.metric=ndcg@10"
    )
    assert word("views", [{"name": "Noise", "eps": 0.1}]) == 'views=[{"name": "Noise", "eps": 0.1}]'
    assert word("a", "true") == 'a="true"', "a text that YAML would read as something else"
    assert shared([{"a": 1, "b": 2}, {"a": 1, "b": 3}]) == {"a": 1}
    assert shared([]) == {}


@pytest.fixture
def no_matplotlib(monkeypatch):
    monkeypatch.delitem(sys.modules, "gcl.bench.plots", raising=False)
    monkeypatch.setattr("gcl.bench.plots", None, raising=False)
    monkeypatch.delattr("gcl.bench.plots")
    for name in [n for n in sys.modules if n.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def test_without_matplotlib(no_matplotlib, table, tmp_path, caplog):
    tree = comparison(table, seeds=[0], models={"Popularity": None}, reference=[])
    bench(write(tmp_path, tree), tmp_path / "out")
    told = (tmp_path / "out/report.md").read_text()
    assert "Without plots: matplotlib is not installed (pip install 'gcl-rec[plots]')." in told
    assert "data:image" not in (tmp_path / "out/report.html").read_text()
    assert "plots need matplotlib: pip install 'gcl-rec[plots]', then run gcl bench again" in caplog.text
