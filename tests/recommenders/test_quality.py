"""Whole methods on MovieLens-100k: figures on valid inside two-sided bands, taken from longer stored runs."""

import pytest

import gcl

CURVES = {
    # model, epochs, band of valid NDCG@10 there (three seeds of the tuned settings lie inside)
    "LightGCN": (12, 0.215, 0.237),
    "XSimGCL": (15, 0.246, 0.264),
}


@pytest.mark.data
def test_ease_reaches_its_figure(gcl_data, tmp_path):
    run = gcl.fit("EASE", "ml-100k", plain=True, l2=400.0, out=tmp_path / "run", progress=False)
    assert run.result["metrics"]["test"]["ndcg@10"] == pytest.approx(0.3393, abs=2e-4)
    assert run.result["metrics"]["valid"]["ndcg@10"] == pytest.approx(0.2624, abs=2e-4)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("model", CURVES)
def test_a_tuned_model_follows_its_curve(gcl_data, tmp_path, model):
    epochs, low, high = CURVES[model]
    run = gcl.fit(model, "ml-100k", train={"epochs": epochs}, device="cpu", out=tmp_path / "run", progress=False)
    assert low < run.result["metrics"]["valid"]["ndcg@10"] < high


@pytest.mark.slow
@pytest.mark.data
def test_edges_of_the_graph_matter(gcl_data, tmp_path):
    """The contrast improves on the same encoder without it, after equal training."""
    settings = {"epochs": 12, "batch_size": 1024, "lr": 0.01, "metric": "ndcg@10"}
    found = {}
    for name, weight in (("with", 0.05), ("without", 0.0)):
        run = gcl.fit(
            "XSimGCL",
            "ml-100k",
            plain=True,
            layers=2,
            weight=weight,
            train=settings,
            out=tmp_path / name,
            progress=False,
        )
        found[name] = run.result["metrics"]["valid"]["ndcg@10"]
    assert found["with"] > found["without"] + 0.005
