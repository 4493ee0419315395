import pytest
import torch

from gcl.errors import InputError
from gcl.graph import cooccurrence_graph, knn_graph, mixed
from gcl.testing import tiny_dataset


def dense(graph):
    return graph @ torch.eye(graph.num_cols)


def test_a_mixture_is_the_sum_with_each_edge_once():
    data = tiny_dataset()
    near = [knn_graph(m.values, 4, present=m.present).normalize("sym") for m in data.modalities.values()]
    graphs = [*near, cooccurrence_graph(data.train, 3).normalize("sym")]
    out = mixed(graphs, [0.5, 0.2, 0.3])
    torch.testing.assert_close(dense(out), sum(w * dense(g) for w, g in zip((0.5, 0.2, 0.3), graphs, strict=True)))
    assert out.num_edges == int((sum(dense(g) != 0 for g in graphs) > 0).sum())
    assert mixed(graphs, [0.0, 1.0, 0.0]) is graphs[1]
    torch.testing.assert_close(dense(mixed(graphs, [0.0, 0.5, 0.0])), dense(graphs[1]) / 2)
    assert mixed(graphs, [0, 0, 0]).num_edges == 0


@pytest.mark.gpu
def test_a_mixture_of_nothing_stays_on_its_device():
    graph = cooccurrence_graph(tiny_dataset().train, 3).to("cuda")
    assert mixed([graph], [0]).values.device.type == "cuda"


def test_errors():
    data = tiny_dataset()
    graph, other = cooccurrence_graph(data.train, 3), knn_graph(torch.eye(4), 2)
    with pytest.raises(InputError, match=r"shares must be not negative, one a graph, got \[0.5\] for 2 graphs"):
        mixed([graph, graph], [0.5])
    with pytest.raises(InputError, match=r"got \[-1\] for 1 graphs"):
        mixed([graph], [-1])
    with pytest.raises(InputError, match=r"graphs to be mixed must have one size, got \[\(4, 4\), \(18, 18\)\]"):
        mixed([graph, other], [0.5, 0.5])
