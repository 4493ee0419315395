"""MambaRec: its alignment, its running statistics, what it shares with MGCN."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from gcl.data import Batch, Modality, loader, query
from gcl.errors import InputError
from gcl.losses import MMD, InfoNCE
from gcl.recommenders.multimodal.mambarec import MambaRec
from gcl.recommenders.multimodal.mgcn import MGCN
from gcl.testing import tiny_dataset


def made(data, cls=MambaRec, **arguments):
    torch.manual_seed(0)
    return cls(data, dim=4, neighbours=3, **arguments)


def first_batch(model, data):
    return next(iter(loader(data, model.sampling, 32, torch.Generator().manual_seed(0))))


def test_alignment_is_the_discrepancy_of_unit_rows():
    data = tiny_dataset()
    model = made(data, alignment_weight=0.3, alignment=MMD(sigma=1.5, unit=True), weight=0.0)
    batch = first_batch(model, data)
    terms = model.losses(batch)
    assert set(terms) == {"rank", "reg", "alignment"}
    model = made(data, alignment_weight=0.3)
    text, image = model.refined()
    there = data.modalities["image"].present
    assert bool((image[~there] == 0).all()) and bool((image[there] != 0).any())
    rows = batch.items[there[batch.items]]
    x, y = (F.normalize(t[rows], dim=1) for t in (text, image))

    def kernel(a, b):
        return torch.exp(-torch.cdist(a, b).square() / (2 * 1.5**2)).mean()

    expected = kernel(x, x) + kernel(y, y) - 2 * kernel(x, y)
    torch.testing.assert_close(terms["alignment"], 0.3 * expected, rtol=1e-4, atol=1e-6)
    assert MMD(sigma=1.0, unit=True)(x, x).item() == pytest.approx(0, abs=1e-6)
    assert "alignment" not in made(data, alignment_weight=0.0).losses(batch)


def test_pairs_of_modalities_are_averaged_and_rows_are_penalised():
    data = tiny_dataset()
    sound = Modality(torch.randn(18, 3, generator=torch.Generator().manual_seed(1)), torch.arange(18) % 4 != 1)
    data = replace(data, modalities={**data.modalities, "sound": sound})
    model = made(data, dropout=0.0, alignment_weight=0.3, reg=0.2)
    batch = first_batch(model, data)
    terms, refined = model.losses(batch), model.refined()
    there = [m.present for m in data.modalities.values()]
    apart = []
    for a, b in ((0, 1), (0, 2), (1, 2)):
        rows = batch.items[(there[a] & there[b])[batch.items]]
        apart.append(MMD(sigma=1.0, unit=True)(refined[a][rows], refined[b][rows]))
    torch.testing.assert_close(terms["alignment"], 0.3 * sum(apart) / 3)
    y = torch.cat(model.tables())
    rows = y[batch.users], y[24 + batch.items], y[24 + batch.negatives[:, 0]]
    torch.testing.assert_close(terms["reg"], 0.1 * sum(r.square().sum() for r in rows) / len(batch.users))
    lonely = Batch(batch.users[:1], batch.items[:1], batch.negatives[:1])
    assert model.losses(lonely)["alignment"].item() == 0, "one item has no distribution"


def test_dropout_acts_on_purifying_features_in_training():
    data = tiny_dataset()
    model = made(data, dropout=0.6)
    refined = [rows.detach() for rows in model.refined()]
    assert not torch.equal(model.sides(refined)[1], model.sides(refined)[1])
    model.dropout.p = 0.0
    assert torch.equal(model.sides(refined)[1], model.sides(refined)[1])


def test_scoring_twice_gives_the_same_and_training_moves_the_statistics():
    data = tiny_dataset()
    model = made(data)
    asked = query(data, torch.arange(data.num_users), "valid")
    norm = model.refine[0].norm
    before = norm.running_mean.clone()
    model.losses(first_batch(model, data))
    assert not torch.equal(norm.running_mean, before)
    assert int(norm.num_batches_tracked) == 1, "one step updates the statistics once"
    model.eval()
    with torch.no_grad():
        once = model.scores(asked)
        model.train().eval()
        assert torch.equal(model.scores(asked), once)


def test_without_its_parts_it_is_mgcn_on_other_features():
    data = tiny_dataset()
    model = made(data, dream=False, dropout=0.0, layers=2)
    other = made(data, MGCN)
    assert {n for n, _ in model.named_parameters()} - {n for n, _ in other.named_parameters()} == {
        "norm.weight", "norm.bias"
    }  # fmt: skip
    other.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("norm.")})
    model.norm = torch.nn.Identity()
    for a, b in zip(model.eval().tables(), other.eval().tables(), strict=True):
        torch.testing.assert_close(a, b)
    batch = first_batch(model, data)
    mine, theirs = model.losses(batch), other.losses(batch)
    torch.testing.assert_close(mine["contrast"], theirs["contrast"])
    grads = (torch.autograd.grad(m["rank"] + m["contrast"], o.encoder.table)[0] for m, o in
             ((mine, model), (theirs, other)))  # fmt: skip
    torch.testing.assert_close(*grads)
    assert isinstance(model.item_objective, InfoNCE)


def test_wide_features_are_narrowed_first():
    data = tiny_dataset()
    model = made(data, reduce=4, wide=5)
    assert [p.narrow.out_features if hasattr(p.narrow, "out_features") else None for p in model.projections] == [
        2,
        None,
    ]
    assert model.projections[0].linear.in_features == math.ceil(6 / 4)


def test_bad_arguments():
    data = tiny_dataset()
    with pytest.raises(InputError, match="alignment of MambaRec must be of kind sets, got InfoNCE"):
        made(data, alignment=InfoNCE())
    with pytest.raises(InputError, match=r"dropout of MambaRec must lie in \[0, 1\), got 1"):
        made(data, dropout=1.0)
    for arguments in ({"reduce": 0}, {"wide": -1}):
        with pytest.raises(InputError, match="reduce of MambaRec must be at least 1 and wide at least 0, got "):
            made(data, **arguments)
    lonely = Modality(torch.randn(18, 3), torch.arange(18) == 4)
    with pytest.raises(InputError, match="'sound' is known of one item only; MambaRec needs two, or leave it out"):
        made(replace(data, modalities={"sound": lonely}))
    made(replace(data, modalities={"sound": lonely}), dream=False)
