"""What all multimodal recommenders hold: one modality or more, missing rows, hidden modalities, cold items."""

import math
from dataclasses import replace
from inspect import signature

import pytest
import torch

from gcl.build import MODELS, model_class
from gcl.data import Dataset, Modality, Split, TrainInteractions, loader, query, with_modalities
from gcl.encoders import DREAM
from gcl.errors import InputError
from gcl.losses import BYOL, AnchorStar, InfoNCE, SogCLR
from gcl.recommenders.multimodal.base import Multimodal
from gcl.recommenders.multimodal.freedom import FREEDOM
from gcl.testing import check_recommender, tiny_dataset
from gcl.views import ModulusNoise

NAMES = [name for name, where in MODELS.items() if ".multimodal." in where]
VARIANTS = {
    "BM3": [{}, {"layers": 0, "dropout": 0.0, "finetune": False}, {"objective": InfoNCE(0.2), "weight": 0.5}],
    "FREEDOM": [{}, {"drop": 0.0, "finetune": False}, {"layers": 0, "item_layers": 2, "negatives": 2}],
    "MGCN": [{}, {"finetune": False, "negatives": 2, "objective": BYOL()}, {"layers": 0, "item_layers": 2}],
    "MambaRec": [{}, {"dream": False, "finetune": False, "reduce": 2, "wide": 4}, {"alignment_weight": 0.0}],
    "SIGER": [
        {},
        {"eta": 0.0, "noise_weight": 0.0, "anchor_weight": 0.0, "fusion_weight": 0.0, "finetune": True},
        {
            "purify": False,
            "anchor": AnchorStar(0.2),
            "detach_anchor": True,
            "views": [ModulusNoise(0.1, "constant"), ModulusNoise(0.2, "sigmoid")],
        },
    ],
    "VBPR": [{}, {"finetune": True, "negatives": 3}],
}


def built(name, data, **arguments):
    """The model; each gate of DREAM wins for some items, which of so few may not be so: then it has no gradient."""
    model = model_class(name)(data, dim=8, **arguments)
    for block in model.modules():
        if isinstance(block, DREAM):
            torch.nn.init.constant_(block.channel.weight, 0.0315)
    return model


def made(name, data, **arguments):
    torch.manual_seed(0)
    model = built(name, data, **arguments)
    model.generator = torch.Generator().manual_seed(0)
    return model


def with_cold(count=4, seed=0) -> Dataset:
    """The last ``count`` items lose their train rows; items of one group have close features."""
    data = tiny_dataset(seed=seed)
    rows = data.train
    keep = rows.item < data.num_items - count
    train = TrainInteractions(rows.user[keep], rows.item[keep], data.num_users, data.num_items, rows.time[keep])
    group = torch.arange(data.num_items) % 2
    draw = torch.Generator().manual_seed(seed)
    values = torch.nn.functional.one_hot(group, 2).repeat(1, 3).float() * 3
    noise, other = torch.randn(2, *values.shape, generator=draw)
    values = values + other / 3
    there = torch.ones(data.num_items, dtype=torch.bool)
    split = Split(train, data.valid, data.test, {"kind": "made"})
    modalities = {"text": Modality(values, there), "image": Modality(2 * values.flip(1) + noise, there)}
    return replace(data, split=split, modalities=modalities)


def trained(model, data, steps=60, lr=0.05):
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(0)
    batches = loader(data, model.sampling, 256, generator)
    for epoch in range(1, steps + 1):
        model.begin_epoch(epoch, generator)
        for batch in batches:
            optimiser.zero_grad()
            terms = model.losses(batch)
            assert all(bool(torch.isfinite(t)) for t in terms.values())
            torch.stack(list(terms.values())).sum().backward()
            optimiser.step()
    return model.eval()


def scores(model, data):
    with torch.no_grad():
        return model.scores(query(data, torch.arange(data.num_users), "valid"))


def one(data, name="image"):
    return with_modalities(data, {n: None for n in data.modalities if n != name})


def three(data):
    draw = torch.Generator().manual_seed(0)
    more = Modality(torch.randn(data.num_items, 3, generator=draw), torch.arange(data.num_items) % 3 != 1)
    return with_modalities(data, {"sound": more})


@pytest.mark.parametrize(("name", "arguments"), [(n, a) for n in NAMES for a in VARIANTS[n]])
def test_recommender_holds_its_contract(name, arguments):
    for data in (tiny_dataset(), with_cold()):
        check_recommender(lambda data: built(name, data, **arguments), data)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", [one, three])
def test_any_number_of_modalities(name, change):
    check_recommender(lambda data: built(name, data), change(tiny_dataset()))


@pytest.mark.parametrize("name", NAMES)
def test_features_of_items_that_lack_them_are_never_read(name):
    data = tiny_dataset()
    there = data.modalities["image"].present
    values = data.modalities["image"].values.clone()
    values[~there] = math.nan
    blind = replace(data, modalities={**data.modalities, "image": Modality(values, there)})
    plain, other = made(name, data), made(name, blind)
    assert torch.equal(scores(plain.eval(), data), scores(other.eval(), data))
    batch = next(iter(loader(data, plain.sampling, 64, torch.Generator().manual_seed(0))))
    for model in (plain, other):
        model.train().begin_epoch(1, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    first = plain.losses(batch)
    torch.manual_seed(0)
    assert {n: v.item() for n, v in first.items()} == {n: v.item() for n, v in other.losses(batch).items()}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("BM3", {"layers": 1, "dropout": 0.5, "weight": 2.0, "reg": 0.1}),
        ("FREEDOM", {"layers": 2, "item_layers": 1, "neighbours": 10, "drop": 0.8, "reg": 1e-3}),
        ("MGCN", {"layers": 2, "item_layers": 1, "neighbours": 10, "weight": 0.01, "reg": 1e-4}),
        ("MambaRec", {"layers": 4, "item_layers": 1, "neighbours": 10, "dropout": 0.2, "reduce": 8, "weight": 0.01}),
        ("SIGER", {"layers": 2, "item_layers": 1, "neighbours": 10, "common": 10, "eta": 0.3, "noise_weight": 0.01,
                   "anchor_weight": 0.01, "fusion_weight": 0.01, "reg": 1e-4}),
    ],
)  # fmt: skip
def test_defaults_are_the_published_ones(name, wanted):
    defaults = signature(model_class(name).__init__).parameters
    assert {key: defaults[key].default for key in wanted} == wanted and defaults["dim"].default == 64


@pytest.mark.parametrize(("name", "xavier"), [("BM3", True), ("SIGER", True), ("MGCN", False), ("VBPR", False)])
def test_projections_begin_as_the_docstrings_say(name, xavier):
    data = tiny_dataset()
    values = torch.randn(18, 400, generator=torch.Generator().manual_seed(0))
    data = replace(data, modalities={"image": Modality(values, torch.ones(18, dtype=torch.bool))})
    torch.manual_seed(0)
    weight = model_class(name)(data, dim=64).projections[0].linear.weight
    wanted = (2 / (400 + 64)) ** 0.5 if xavier else (1 / 400) ** 0.5 / 3**0.5
    assert weight.std().item() == pytest.approx(wanted, rel=0.03)


@pytest.mark.parametrize("name", ["MGCN", "MambaRec"])
def test_a_contrast_that_remembers_knows_users_and_items_by_their_ids(name):
    data = tiny_dataset()
    model = made(name, data, objective=SogCLR())
    batch = next(iter(loader(data, model.sampling, 6, torch.Generator().manual_seed(0))))
    model.losses(batch)
    for objective, ids in ((model.user_objective, batch.users), (model.item_objective, batch.items)):
        assert objective.log_u.isfinite().nonzero().flatten().tolist() == ids.unique().tolist()


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_features(name):
    data = tiny_dataset()
    halved = {n: Modality(m.values.half(), m.present) for n, m in data.modalities.items()}
    check_recommender(lambda data: built(name, data), replace(data, modalities=halved))


@pytest.mark.parametrize("name", NAMES)
def test_a_hidden_modality_says_nothing(name):
    data = with_cold()
    model = made(name, data).eval()
    before = scores(model, data)
    model.hide("image")
    after = scores(model, data)
    assert bool(torch.isfinite(after).all())
    cold = ~model.warm
    assert not torch.equal(before[:, cold], after[:, cold]), "cold items are ranked by modalities"
    text = data.modalities["text"]
    noise = {"image": Modality(torch.randn(data.num_items, 6), torch.zeros(data.num_items, dtype=torch.bool))}
    other = made(name, replace(data, modalities={"text": text, **noise})).eval()
    other.load_state_dict({k: v for k, v in model.state_dict().items() if "values" not in k}, strict=False)
    torch.testing.assert_close(after, scores(other, data), msg="hidden is as if no item had it")
    model.hide("text")
    assert bool(torch.isfinite(scores(model, data)).all())
    with pytest.raises(InputError, match=rf"^{name} has no modality 'imag'\. Did you mean 'image'\?"):
        model.hide("imag")


def test_weights_of_the_item_graph_grow_where_a_modality_is_missing():
    data = tiny_dataset()
    there = torch.arange(data.num_items) > 3
    lacking = {n: Modality(m.values, there if n == "image" else m.present) for n, m in data.modalities.items()}
    data = replace(data, modalities=lacking)
    model = FREEDOM(data, neighbours=3, weights={"image": 9, "text": 1})
    alone = FREEDOM(replace(data, modalities={"text": data.modalities["text"]}), neighbours=3)
    rows = torch.eye(data.num_items)
    torch.testing.assert_close((model.graph @ rows)[:4], (alone.graph @ rows)[:4])
    weight = {"image": 0.9, "text": 0.1}
    both = sum(weight[n] * (g @ rows) for n, g in zip(data.modalities, model.near, strict=True))
    torch.testing.assert_close((model.graph @ rows)[4:], both[4:])
    model.hide("image")
    torch.testing.assert_close(model.graph @ rows, alone.graph @ rows)


@pytest.mark.parametrize("name", NAMES)
def test_cold_items_are_ranked_by_their_modalities(name):
    data = with_cold()
    model = trained(made(name, data), data)
    cold = (~model.warm).nonzero().flatten()
    taste, group = torch.arange(data.num_users) % 2, cold % 2
    found = scores(model, data)[:, cold]
    right = found[taste[:, None] == group[None]].mean()
    wrong = found[taste[:, None] != group[None]].mean()
    assert right > wrong, f"cold items of the user's taste score {right:.3f}, others {wrong:.3f}"
    apart = (found[:, group == 0].mean(1) > found[:, group == 1].mean(1)) == (taste == 0)
    assert apart.float().mean() > 0.8


@pytest.mark.parametrize("name", NAMES)
def test_cold_rows_stay_zero_and_are_no_negatives(name):
    data = with_cold()
    model = made(name, data)
    warm = model.warm
    tables = [p for n, p in model.named_parameters() if n.endswith("table")]
    assert len(tables) == 1
    trained(model, data, 3)
    rows = tables[0][-data.num_items :]
    assert bool((rows[~warm] == 0).all()) and bool((rows[warm] != 0).all())
    if model.sampling.negatives:
        batch = next(iter(loader(data, model.sampling, 999, torch.Generator().manual_seed(0))))
        assert bool(warm[batch.negatives].all())
    ids = made(name, data, cold="ids")
    assert not ids.some_cold and ids.sampling == model.sampling
    assert all(bool((p[-4:] != 0).all()) for n, p in ids.named_parameters() if n.endswith("table"))


@pytest.mark.parametrize("name", NAMES)
def test_bad_arguments_are_named(name):
    data = tiny_dataset()
    with pytest.raises(InputError, match=rf"cold of {name} must be 'modalities' or 'ids', got 'no'\.$"):
        model_class(name)(data, cold="no")
    with pytest.raises(InputError, match=rf"reg of {name} must not be negative, got -1"):
        model_class(name)(data, reg=-1.0)
    with pytest.raises(InputError, match=rf"{name} needs item modalities, and 'tiny' has none"):
        model_class(name)(replace(data, modalities={}))
    with pytest.raises(ValueError, match=r"dim.* must be at least 1, got 0"):
        model_class(name)(data, dim=0)


def test_the_base_is_no_model():
    assert Multimodal not in [model_class(name) for name in NAMES]
    assert Multimodal.needs == {"modalities"}
