"""Features of items as input of sequential recommenders."""

import pytest
import torch
import torch.nn.functional as F

import gcl
from gcl.data import loader
from gcl.encoders import TransformerEncoder
from gcl.errors import InputError
from gcl.recommenders.sequential.cl4srec import CL4SRec
from gcl.recommenders.sequential.duorec import DuoRec
from gcl.recommenders.sequential.gru4rec import GRU4Rec
from gcl.recommenders.sequential.iclrec import ICLRec
from gcl.recommenders.sequential.mclrec import MCLRec
from gcl.recommenders.sequential.sasrec import SASRec
from gcl.testing import check_recommender, tiny_dataset
from gcl.views.sequence import MASKED

SMALL = {"dim": 8, "dropout": 0.1, "modalities": ("text", "image")}
INNER = {**SMALL, "inner": 16}


@pytest.mark.parametrize(
    "build",
    [
        lambda data: SASRec(data, **INNER),
        lambda data: SASRec(data, **INNER, loss="sampled", negatives=6),
        lambda data: SASRec(data, **{**INNER, "modalities": ["image"]}, loss="bce", negatives=1),
        lambda data: GRU4Rec(data, **SMALL, hidden=8),
        lambda data: CL4SRec(data, **INNER),
        lambda data: DuoRec(data, **INNER),
        lambda data: MCLRec(data, **INNER),
        lambda data: ICLRec(data, **INNER, intents=3),
    ],
)
def test_recommender_holds_its_contract(build):
    check_recommender(build)


def test_vectors_are_the_table_and_projected_features_of_length_one():
    data = tiny_dataset()
    encoder = TransformerEncoder(data.num_items, 8, 6, heads=2, inner=16)
    encoder.describe([data.modalities["image"]])
    linear, image = encoder.projections[0].linear, data.modalities["image"]
    expected = encoder.table[:-1] + linear(F.normalize(image.values, dim=1)) * image.present[:, None]
    torch.testing.assert_close(encoder.items(), expected)
    ids = torch.tensor([[3, 0, 3], [MASKED, 17, 5]])
    found = encoder.look_up(ids)
    torch.testing.assert_close(found[0], expected[ids[0]])
    torch.testing.assert_close(found[1, 1:], expected[ids[1, 1:]])
    assert torch.equal(found[1, 0], encoder.table[-1])


def test_an_item_without_the_modality_has_its_table_row_alone():
    data = tiny_dataset()
    encoder = TransformerEncoder(data.num_items, 8, 6, heads=2, inner=16)
    encoder.describe([data.modalities["image"]])
    absent = (~data.modalities["image"].present).nonzero().flatten()
    assert torch.equal(encoder.items()[absent], encoder.table[absent])


def test_an_item_never_in_train_is_moved_by_its_features():
    data = tiny_dataset()
    model = SASRec(data, **INNER)
    before = model.encoder.items().detach().clone()
    model.losses(next(iter(loader(data, model.sampling, 8, torch.Generator()))))["next"].backward()
    torch.optim.SGD(model.encoder.projections.parameters(), 0.1).step()
    assert bool((model.encoder.items() != before).any(1).all())


def test_a_run_keeps_the_features_it_reads(tmp_path):
    data = tiny_dataset()
    train = {"epochs": 1, "batch_size": 16, "metric": "ndcg@5"}
    for name, modalities in (("with", ["text"]), ("without", [])):
        run = gcl.fit("SASRec", data, out=tmp_path / name, train=train, plain=True, progress=False, dim=8, inner=16,
                      evaluate={"k": [5]}, modalities=modalities)  # fmt: skip
        again = gcl.load_run(run.path)
        assert again.evaluate().metrics == run.result["metrics"]["test"]
        assert bool(again.data.modalities) == bool(modalities)


@pytest.mark.parametrize(
    ("name", "message"),
    [("texts", "SASRec cannot read modality 'texts' of 'tiny'. Did you mean 'text'"), ("audio", "Valid: image, text")],
)
def test_unknown_modalities_are_named(name, message):
    with pytest.raises(InputError, match=message):
        SASRec(tiny_dataset(), **{**INNER, "modalities": [name]})


def test_a_set_without_modalities_is_named():
    from dataclasses import replace

    with pytest.raises(InputError, match="cannot read modality 'text' of 'tiny'. The data set has none"):
        SASRec(replace(tiny_dataset(), modalities={}), **{**INNER, "modalities": ["text"]})
