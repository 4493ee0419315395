"""A published checkpoint must print its published figures, to four digits."""

import numpy as np
import pytest
import torch

import gcl
from gcl.evaluation import evaluate
from gcl.recommenders.sequential.sasrec import SASRec

K = (5, 10, 20, 50)
PUBLISHED = {"recall": (0.0581, 0.0871, 0.1243, 0.1853), "ndcg": (0.0352, 0.0446, 0.0539, 0.0660)}
MASKED = {"recall": (0.0693, 0.0951, 0.1306, 0.1892), "ndcg": (0.0493, 0.0576, 0.0665, 0.0781)}
PARTS = {"feed_forward.dense_1": "up", "feed_forward.dense_2": "down", "multi_head_attention.dense": "out"}
NORMS = {"multi_head_attention.LayerNorm": "norms.0", "feed_forward.LayerNorm": "norms.1"}


def weights_of(arrays, items):
    """The checkpoint's arrays under the names of gcl's encoder; the row of masked items is not in it."""
    row = {token: at + 1 for at, token in enumerate(arrays["item_tokens"].tolist())}
    table = arrays["item_embedding.weight"][[row[str(item)] for item in items]]
    state = {"table": np.concatenate([table, np.zeros_like(table[:1])])}
    state["position"] = arrays["position_embedding.weight"]
    for end in ("weight", "bias"):
        state[f"norm.{end}"] = arrays[f"LayerNorm.{end}"]
        for block in range(2):
            source, target = f"trm_encoder.layer.{block}", f"blocks.{block}"
            parts = [arrays[f"{source}.multi_head_attention.{name}.{end}"] for name in ("query", "key", "value")]
            state[f"{target}.mix.{end}"] = np.concatenate(parts)
            for theirs, ours in {**PARTS, **NORMS}.items():
                state[f"{target}.{ours}.{end}"] = arrays[f"{source}.{theirs}.{end}"]
    return {name: torch.from_numpy(value) for name, value in state.items()}


@pytest.mark.data
def test_published_checkpoint_prints_its_published_row(gcl_data):
    arrays = np.load(gcl_data / "golden" / "mclrec_beauty_checkpoint.npz", allow_pickle=False)
    data = gcl.load("beauty")
    model = SASRec(data, dim=64, layers=2, heads=2, inner=256, max_length=50)
    model.encoder.load_state_dict(weights_of(arrays, data.item_ids))
    for exclude, row in (("none", PUBLISHED), ("seen", MASKED)):
        metrics = evaluate(model, data, "test", k=K, exclude=exclude).metrics
        found = {name: tuple(round(metrics[f"{name}@{k}"], 4) for k in K) for name in row}
        assert found == row, f"exclude={exclude}"
