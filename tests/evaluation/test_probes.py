"""Probes: which rows they read, what they find, what they refuse."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from gcl.data import load_graphs
from gcl.errors import InputError
from gcl.evaluation import probes
from gcl.evaluation.probe_parts import cluster, linear, support
from gcl.evaluation.probes import Probe, ProbeSettings, few, probe, published, split


def blobs(rows=240, classes=3, noise=0.3, seed=0):
    draw = torch.Generator().manual_seed(seed)
    y = torch.arange(rows) % classes
    return torch.eye(classes, 6)[y] + noise * torch.randn(rows, 6, generator=draw), y


def nodes(public=True, **kinds):
    z, y = blobs(**kinds)
    data = Data(x=z, edge_index=torch.zeros(2, 0).long(), y=y)
    if public:
        place = torch.arange(len(y))
        data.train_mask, data.val_mask, data.test_mask = place < 60, (place >= 60) & (place < 120), place >= 120
    return z, load_graphs(data)


def several():
    z, y = blobs(40, 2)
    return z, load_graphs([Data(x=torch.ones(2, 1), edge_index=torch.zeros(2, 0).long(), y=c.reshape(1)) for c in y])


@pytest.mark.parametrize("protocol", ["public", "public-val", "rand-10/10/80", "60/20/20", "few", "kmeans"])
def test_every_protocol_reads_what_is_there_and_repeats_itself(protocol):
    z, graphs = nodes()
    settings = ProbeSettings(protocol=protocol, runs=2, steps=60, lr=0.1)
    found = probe(z, graphs, settings, seed=1)
    assert isinstance(found, Probe) and found.protocol == protocol and found.runs == len(found.values) == 2
    assert found.accuracy > 88
    assert probe(z, graphs, settings, seed=1) == found
    assert found.deviation == pytest.approx(np.std(found.values, ddof=1))
    assert found.accuracy == pytest.approx(np.mean(found.values))
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(5))
    assert probe(noise, graphs, settings, seed=1).accuracy < 55


@pytest.mark.parametrize("protocol", ["rand-20/80-sk", "rand-10/90-sk"])
def test_logistic_regression_with_its_own_choice_of_c(protocol):
    z, graphs = nodes(public=False, classes=2, rows=120)
    assert probe(z, graphs, ProbeSettings(protocol=protocol, runs=1)).accuracy > 90


def test_graphs_are_judged_by_a_support_vector_machine_with_folds():
    z, graphs = several()
    found = probe(z, graphs, ProbeSettings(runs=1))
    assert found.protocol == "svm-10" and found.accuracy > 95
    assert found.deviation == 0


def test_the_usual_protocol_of_the_data():
    assert probe(*nodes(), ProbeSettings(runs=1, steps=20)).protocol == "public-val"
    z, graphs = nodes(public=False, classes=2, rows=60)
    assert probe(z, graphs, ProbeSettings(runs=1)).protocol == "rand-20/80-sk"


def test_train_valid_and_test_are_what_their_names_say():
    """The shares are of train and of valid, and the rest is test: not the other way round."""
    y = torch.arange(1000) % 4
    y[:100] = -1
    train, valid, test = split(y, (0.1, 0.2), torch.Generator().manual_seed(0))
    assert (len(train), len(valid), len(test)) == (90, 180, 630)
    together = torch.cat([train, valid, test]).sort().values
    assert torch.equal(together, torch.arange(100, 1000)), "disjoint, complete, without rows that have no label"
    again = split(y, (0.1, 0.2), torch.Generator().manual_seed(1))
    assert not torch.equal(again[0], train)


def test_test_rows_do_not_choose_the_step():
    z, y = blobs(noise=1.5)
    train, valid, test = torch.arange(30), torch.arange(30, 90), torch.arange(90, 240)
    found = linear(z, y, train, valid, test, (300, 0.05, 0.0), torch.Generator().manual_seed(0))
    wrong = y.clone()
    wrong[test] = (y[test] + 1) % 3
    other = linear(z, wrong, train, valid, test, (300, 0.05, 0.0), torch.Generator().manual_seed(0))
    assert found["valid"] == other["valid"]
    assert found["accuracy"] + other["accuracy"] <= 1.0
    last = linear(z, y, train, None, test, (300, 0.05, 0.0), torch.Generator().manual_seed(0))
    assert "valid" not in last and last["accuracy"] <= found["accuracy"] + 0.1


def test_few_labels():
    y = torch.tensor([0] * 30 + [1] * 9 + [-1] * 5)
    train, valid, test = few(y, 4, torch.Generator().manual_seed(0))
    assert torch.bincount(y[train]).tolist() == torch.bincount(y[valid]).tolist() == [4, 4]
    assert len(test) == 39 - 16 and len(set(torch.cat([train, valid, test]).tolist())) == 39
    with pytest.raises(InputError, match="labels must be below half of the smallest class, 9 rows, got 5"):
        few(y, 5, torch.Generator())


@pytest.mark.parametrize("protocol", ["kmeans", "few", "rand-10/90-sk", "public-val"])
@pytest.mark.parametrize("names", [[1, 2, 3], [8, 3, 50]])
def test_classes_may_have_any_numbers(protocol, names):
    z, graphs = nodes()
    wanted = probe(z, graphs, ProbeSettings(protocol=protocol, runs=1, steps=60, lr=0.1)).values
    graphs.data.y = torch.tensor(sorted(names))[graphs.data.y]
    assert probe(z, graphs, ProbeSettings(protocol=protocol, runs=1, steps=60, lr=0.1)).values == wanted
    assert graphs.num_classes == 3


def test_clusters_are_matched_to_classes():
    y = torch.tensor([0, 0, 1, 1, 2, 2] * 5)
    z = torch.eye(3)[(y + 1) % 3]
    assert cluster(z, y, 0) == pytest.approx({"accuracy": 1.0, "nmi": 1.0, "ari": 1.0})


def test_unlabelled_rows_are_never_read():
    z, graphs = nodes(public=False)
    graphs.data.y[:40] = -1
    broken = z.clone()
    broken[:40] = 1000.0
    for protocol in ("rand-10/10/80", "kmeans", "few"):
        settings = ProbeSettings(protocol=protocol, runs=1, steps=50)
        assert probe(z, graphs, settings) == probe(broken, graphs, settings)


def test_columns_of_masks_are_splits_of_their_own():
    z, graphs = nodes()
    place = torch.arange(240)
    for part, mask in enumerate(("train_mask", "val_mask")):
        graphs.data[mask] = torch.stack([(place // 60 == (part + run) % 4) for run in range(2)], 1)
    graphs.data.test_mask = place >= 180
    assert published(graphs.data.train_mask, 3).nonzero()[0] == 60 and published(graphs.data.test_mask, 3).sum() == 60
    two = probe(z, graphs, ProbeSettings(runs=2, steps=30, lr=0.1))
    for run in range(2):
        _, single = nodes()
        for mask in ("train_mask", "val_mask", "test_mask"):
            single.data[mask] = published(graphs.data[mask], run)
        assert probe(z, single, ProbeSettings(runs=2, steps=30, lr=0.1)).values[run] == two.values[run]


def test_rows_of_a_published_part_without_a_label_are_not_read():
    z, graphs = nodes()
    before = probe(z, graphs, ProbeSettings(runs=1, steps=30, lr=0.1))
    far = torch.cat([z, torch.full((20, 6), 1e3)])
    data = Data(x=far, edge_index=torch.zeros(2, 0).long(), y=torch.cat([graphs.labels, torch.full((20,), -1)]))
    for mask in ("train_mask", "val_mask", "test_mask"):
        data[mask] = torch.cat([graphs.data[mask], torch.ones(20, dtype=torch.bool)])
    assert probe(far, load_graphs(data), ProbeSettings(runs=1, steps=30, lr=0.1)).values == before.values


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("public-val", (60, 60, 120)), ("public", (60, 0, 120)), ("rand-10/10/80", (24, 24, 192)),
        ("60/20/20", (144, 48, 48)), ("rand-20/80-sk", (48, 0, 192)), ("rand-10/90-sk", (24, 0, 216)),
    ],
)  # fmt: skip
def test_every_protocol_trains_chooses_and_tests_on_the_part_of_that_name(name, sizes, monkeypatch):
    z, graphs = nodes()
    seen = []

    def spy(z, y, train, valid, test, *rest):
        assert len(torch.cat([p for p in (train, valid, test) if p is not None]).unique()) == 240 - 60 * (
            name == "public"
        )
        if name.startswith("public"):
            assert int(train.max()) < 60 and int(test.min()) >= 120 and (valid is None or int(valid.min()) >= 60)
        seen.append(tuple(0 if part is None else len(part) for part in (train, valid, test)))
        return {"accuracy": 0.0}

    monkeypatch.setattr(probes, "linear", spy)
    monkeypatch.setattr(probes, "logistic", lambda z, y, train, test, *rest: spy(z, y, train, None, test))
    probe(z, graphs, ProbeSettings(protocol=name, runs=1))
    assert seen == [sizes]


def test_folds_hold_every_graph_once():
    z, y = blobs(60)
    shuffled = y[torch.randperm(60, generator=torch.Generator().manual_seed(0))]
    for name in ("accuracy", "valid"):
        assert support(z, shuffled, 0, folds=5)[name] < 0.6 < support(z, y, 0, folds=5)[name]


def test_errors():
    z, graphs = nodes(public=False)
    with pytest.raises(InputError, match=r"z must be \[240, d\], one row a node, got \(239, 6\)"):
        probe(z[1:], graphs)
    with pytest.raises(InputError, match="z holds values that are not finite"):
        probe(z / 0, graphs)
    with pytest.raises(InputError, match="protocol public needs a published split of nodes, and data has none; take"):
        probe(z, graphs, ProbeSettings(protocol="public"))
    with pytest.raises(InputError, match="protocol svm-10 is of graphs, and data has nodes; take rand-20/80-sk"):
        probe(z, graphs, ProbeSettings(protocol="svm-10"))
    with pytest.raises(InputError, match="data must have labels of two classes or more, got 1"):
        probe(z, load_graphs(graphs.data.clone().update({"y": torch.ones(240)})))
    z, graphs = nodes(public=False, rows=4)
    for protocol, text in (
        ("rand-10/10/80", "needs at least 1 labelled rows for train, and data has 0"),
        ("rand-20/80-sk", "needs at least 4 labelled rows for train, and data has 1"),
        ("rand-10/90-sk", "needs at least 5 labelled rows for train, and data has 0"),
    ):
        with pytest.raises(InputError, match=text):
            probe(z, graphs, ProbeSettings(protocol=protocol, runs=1))
    empty = Data(x=torch.ones(1, 1), edge_index=torch.zeros(2, 0).long())
    tiny = load_graphs([empty.clone().update({"y": torch.tensor([i % 2])}) for i in range(12)])
    with pytest.raises(InputError, match="svm-10 needs at least 10 graphs in each of two classes, and data has 6"):
        probe(torch.rand(12, 2), tiny)
    lone = load_graphs([empty.clone().update({"y": torch.tensor([int(i == 0)])}) for i in range(41)])
    with pytest.raises(InputError, match="svm-10 needs at least 10 graphs in each of two classes, and data has 1"):
        probe(torch.rand(41, 2), lone)
    z, graphs = nodes(public=False, rows=90, classes=30)
    with pytest.raises(InputError, match="rand-10/90-sk needs at least 5 rows of one class in train, and data has"):
        probe(z, graphs, ProbeSettings(protocol="rand-10/90-sk", runs=1))
    assert probes.RANDOM["rand-10/10/80"] == (0.1, 0.1)


@pytest.mark.data
def test_raw_features_of_cora_are_in_the_published_range(gcl_data):
    graphs = load_graphs("cora")
    found = probe(graphs.data.x, graphs, ProbeSettings(runs=1, steps=600))
    assert 47 < found.accuracy < 58
