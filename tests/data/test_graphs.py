"""Data sets of graphs: from the files of a card, by import path, in memory."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import is_undirected

from gcl.data import load_graphs
from gcl.data.graphs import read_npz, read_tu
from gcl.errors import InputError

SMALL = Data(x=torch.eye(4), edge_index=torch.tensor([[0, 1], [1, 0]]), y=torch.tensor([0, 1, 1, -1]))
MANY = [Data(edge_index=torch.tensor([[0, 1], [1, 0]]), y=torch.tensor([i % 2]), num_nodes=3) for i in range(4)]


def made():
    return MANY


@pytest.mark.parametrize(
    ("name", "graphs", "nodes", "arcs", "features", "classes"),
    [
        ("cora", 1, 2708, 10556, 1433, 7),
        ("citeseer", 1, 3327, 9104, 3703, 6),
        ("amazon-photo", 1, 7650, 238162, 745, 8),
        ("mutag", 188, 3371, 7442, 7, 2),
        ("imdb-binary", 1000, 19773, 193062, 1, 2),
    ],
)
@pytest.mark.data
def test_cards(gcl_data, name, graphs, nodes, arcs, features, classes):
    found = load_graphs(name)
    assert (len(found), found.num_features, found.num_classes) == (graphs, features, classes)
    assert sum(g.num_nodes for g in found.graphs) == nodes
    assert sum(g.num_edges for g in found.graphs) == arcs
    assert found.level == ("node" if graphs == 1 else "graph")
    first = found.data
    first.validate()
    assert is_undirected(first.edge_index, num_nodes=first.num_nodes) and not first.has_self_loops()


@pytest.mark.data
def test_the_public_split_and_its_normalised_rows(gcl_data):
    found = load_graphs("citeseer")
    masks = [found.data[m] for m in ("train_mask", "val_mask", "test_mask")]
    assert [int(m.sum()) for m in masks] == [120, 500, 1000]
    assert torch.bincount(found.labels[masks[0]]).tolist() == [20] * 6
    assert not any((found.labels[m] < 0).any() for m in masks)
    assert int((found.labels < 0).sum()) == 15
    sums = found.data.x.sum(1)
    assert torch.allclose(sums[sums > 0], torch.ones(()))
    assert set(load_graphs("citeseer", normalize=False).data.x.unique().tolist()) == {0.0, 1.0}


@pytest.mark.data
def test_graphs_without_tags_take_degrees(gcl_data):
    found = load_graphs("imdb-multi", inputs="degree")
    assert found.num_features == 101
    one = found.graphs[7]
    assert torch.equal(one.x.argmax(1), torch.bincount(one.edge_index[0], minlength=one.num_nodes))
    with pytest.raises(InputError, match="inputs must be 'degree' or 'constant' for imdb-multi"):
        load_graphs("imdb-multi", inputs="tags")


def test_tu_text(tmp_path):
    texts = {
        "indicator": "1\n1\n1\n2\n2\n", "labels": "2\n0\n", "tags": "5\n3\n5\n3\n9\n",
        "arcs": "1, 2\n2, 1\n2, 2\n5, 4\n",
    }  # fmt: skip
    files = {role: tmp_path / role for role in texts}
    for role, text in texts.items():
        files[role].write_text(text)
    first, second = read_tu(files)
    assert first.x.tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0]] and first.num_nodes == 3
    assert first.edge_index.tolist() == [[0, 1], [1, 0]] and second.edge_index.tolist() == [[0, 1], [1, 0]]
    assert [first.y.item(), second.y.item()] == [1, 0], "classes are numbered from 0"
    files["indicator"].write_text("1\n2\n1\n2\n2\n")
    with pytest.raises(ValueError, match="nodes of one graph do not stand together"):
        read_tu(files)


def test_npz_is_made_undirected_and_nothing_is_unpickled(tmp_path):
    members = {
        "adj_data": [1, 1, 1], "adj_indices": [1, 2, 2], "adj_indptr": [0, 1, 2, 3], "adj_shape": [3, 3],
        "attr_data": [4.0, 2.0], "attr_indices": [1, 0], "attr_indptr": [0, 1, 1, 2], "attr_shape": [3, 2],
        "labels": [0, 1, 0], "train_idx": [0], "valid_idx": [2], "test_idx": [1],
    }  # fmt: skip
    np.savez(tmp_path / "g.npz", **{k: np.array(v) for k, v in members.items()})
    data = read_npz(tmp_path / "g.npz")
    assert data.edge_index.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]
    assert data.x.tolist() == [[0, 1], [0, 0], [1, 0]]
    assert data.val_mask.tolist() == [False, False, True]
    np.savez(tmp_path / "p.npz", **{**{k: np.array(v) for k, v in members.items()}, "labels": np.array([{}, 1, 2])})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_npz(tmp_path / "p.npz")


def test_things_of_torch_geometric_in_memory_and_by_import_path(tmp_path, monkeypatch):
    assert load_graphs(SMALL).level == "node" and load_graphs(SMALL).num_classes == 2
    many = load_graphs(MANY)
    assert many.level == "graph" and many.data.x.tolist() == [[1.0]] * 3 and many.labels.tolist() == [0, 1, 0, 1]
    assert MANY[0].x is None, "what was given is not changed"
    (tmp_path / "mygraphs.py").write_text(
        "import torch\nfrom torch_geometric.data import Data\n"
        "one = Data(x=torch.eye(3), edge_index=torch.tensor([[0], [1]]), y=torch.arange(3))\n"
        "def several():\n    return [one.clone().update({'y': torch.tensor([i])}) for i in range(2)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert load_graphs("mygraphs:one").level == "node"
    assert load_graphs("mygraphs:several").labels.tolist() == [0, 1]
    assert load_graphs("mygraphs:one", normalize=True).digest == load_graphs("mygraphs:one").digest
    assert Batch.from_data_list(list(many.graphs)).num_graphs == 4


def test_labels_in_a_column_whole_floats_and_batches():
    column = SMALL.clone().update({"y": torch.tensor([[0.0], [1.0], [1.0], [-1.0]]), "x": torch.eye(4).long()})
    found = load_graphs(column)
    assert found.level == "node" and found.labels.tolist() == [0, 1, 1, -1] and found.data.x.dtype == torch.float32
    assert column.x.dtype == torch.long, "what was given is not changed"
    assert load_graphs(Batch.from_data_list(MANY)).labels.tolist() == [0, 1, 0, 1]


def test_graphs_without_labels():
    bare = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1], [1, 0]]))
    one, many = load_graphs(bare), load_graphs([bare, bare])
    assert (one.level, one.labels.tolist(), one.labelled) == ("node", [-1, -1, -1], False)
    assert (many.level, many.labels.tolist(), many.labelled) == ("graph", [-1, -1], False)
    assert bare.y is None, "what was given is not changed"
    assert load_graphs(MANY).labelled


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("coar", "Unknown data set 'coar'. Did you mean 'cora'?"),
        ("ml-100k", "ml-100k is no data set of graphs but of kind general"),
        ("no.such:thing", "Cannot import the graphs 'no.such:thing': No module named 'no'"),
        (3, "source must be a Data, or a list or data set of Data, each with edge_index, got int."),
        ([Data(x=torch.ones(2, 1))], "each with edge_index, got Data."),
        (
            [MANY[0].clone().update({"x": torch.ones(3, w)}) for w in (2, 4)],
            "data: all graphs must have x of one width, got 2, 4.",
        ),
        (SMALL.clone().update({"x": torch.ones(4)}), "data: x must be [4, F], one row a node, got [4]."),
        (SMALL.clone().update({"x": SMALL.x / 0}), "data: x holds values that are not finite; fill them in, or"),
        (
            [MANY[0], Data(x=torch.ones(3, 3), edge_index=MANY[0].edge_index)],
            "source: all graphs must have labels y, or none, and 1 of 2 have none; -1 is unknown.",
        ),
        ([SMALL, SMALL], "data: y must be one label a graph, got [4]; without y it trains unlabelled."),
        (
            SMALL.clone().update({"y": torch.ones(1, 3)}),
            "y must be one label a node, [4], or one of the graph, [1], got",
        ),
        (SMALL.clone().update({"y": torch.tensor([0.0, 1.0, 0.3, 1.0])}), "y must hold classes, whole numbers from 0"),
        (SMALL.clone().update({"edge_index": torch.tensor([[0], [4]])}), "data: 'edge_index' contains larger indices"),
        ("torch_geometric.datasets:Planetoid", "Cannot call 'torch_geometric.datasets:Planetoid' without arguments"),
    ],
)
def test_errors(source, text):
    with pytest.raises(InputError) as error:
        load_graphs(source)
    assert text in str(error.value)


def test_rows_with_negative_features_have_no_shares():
    data = SMALL.clone().update({"x": torch.tensor([[1.0, -2.0]] * 4)})
    with pytest.raises(InputError, match="data: normalize needs features from 0, got -2; leave it out"):
        load_graphs(data, normalize=True)


@pytest.mark.data
def test_files_that_differ_from_the_card(gcl_data, tmp_path, monkeypatch):
    folder = tmp_path / "graph/tu/MUTAG"
    folder.mkdir(parents=True)
    (folder / "folds.tsv").write_text("")
    (folder / "raw").mkdir()
    for path in (gcl_data / "graph/tu/MUTAG/raw").iterdir():
        (folder / "raw" / path.name).write_bytes(path.read_bytes())
    arcs = folder / "raw/MUTAG_A.txt"
    arcs.write_text("\n".join(arcs.read_text().splitlines()[:-20]) + "\n")
    monkeypatch.setenv("GCL_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"hold 7,4\d\d arcs, not 7,442 as its card says"):
        load_graphs("mutag")
    arcs.write_text("1, two\n")
    with pytest.raises(InputError, match="Cannot read the graphs of mutag"):
        load_graphs("mutag")
