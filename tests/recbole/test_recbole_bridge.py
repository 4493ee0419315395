"""gcl's recommenders as RecBole's: in its configuration, loaders and trainer."""

import pytest
import torch

import gcl
from gcl.data import Batch
from gcl.errors import InputError
from gcl.recbole import as_recbole, compat, given
from gcl.recbole.enclosure import enclosed
from gcl.testing import tiny_dataset

SETTINGS = {
    "metric": "ndcg@5", "epochs": 2, "batch_size": 32, "lr": 0.01, "weight_decay": 0.0, "eval_every": 1, "patience": 3,
}  # fmt: skip


def bridged(model, **arguments):
    """A bridge and RecBole's loaders, on the tiny data set."""
    kind = as_recbole(model, **arguments)
    own = {"train_neg_sample_args": kind.negative_sampling, "MAX_ITEM_LIST_LENGTH": 50}
    with enclosed(0):
        config = given.configure(kind, own, SETTINGS, 0, torch.device("cpu"))
        loaders = given.loaders(config, tiny_dataset())
        return kind(config, loaders.dataset), loaders, config


@pytest.mark.parametrize("name", ["LightGCN", "SimGCL", "XSimGCL", "DirectAU", "HCCF", "BPRMF"])
def test_losses_are_the_models_own(name):
    bridge, loaders, _ = bridged(gcl.build.model_class(name), dim=4)
    interaction = next(iter(loaders.train))
    users, items = interaction["user_id"] - 1, interaction["item_id"] - 1
    negatives = interaction["neg_item_id"][:, None] - 1 if "neg_item_id" in interaction else None
    assert bool(bridge.data.train.contains(users, items).all())
    torch.manual_seed(1)
    found = bridge.calculate_loss(interaction)
    torch.manual_seed(1)
    bridge.model.begin_epoch(1, torch.default_generator)
    expected = bridge.model.losses(Batch(users, items, negatives))
    assert torch.stack(
        [t.detach() for t in (found if isinstance(found, tuple) else (found,))]
    ).tolist() == pytest.approx([t.item() for t in expected.values()])


def test_several_negatives_become_columns():
    bridge, loaders, _ = bridged(gcl.LightGCN, dim=4, negatives=3)
    interaction = next(iter(loaders.train))
    batch = bridge._pairs(interaction)
    assert batch.negatives.shape == (len(batch.users), 3) and len(interaction) == 3 * len(batch.users)
    assert not bool(bridge.data.train.contains(batch.users[:, None].expand(-1, 3), batch.negatives).any())
    with pytest.raises(InputError, match="train_neg_sample_args.sample_num must be 3, the negatives of LightGCN"):
        bridge._pairs(interaction[: len(interaction) - 1])


@pytest.mark.parametrize("targets", ["all", "prefix", "last"])
def test_sequences(targets):
    bridge, loaders, _ = bridged(gcl.SASRec, dim=4, layers=1, heads=1, inner=4, targets=targets)
    interaction = next(iter(loaders.train))
    batch = bridge._sequences(interaction)
    history = bridge.data.train.history
    for at, user in enumerate(batch.users.tolist()):
        mine = history.indices[history.indptr[user] : history.indptr[user + 1]].tolist()
        n = int(batch.length[at])
        assert mine[:n] == batch.history[at, :n].tolist() and mine[n] == int(batch.items[at])
    if targets == "all":
        assert ((batch.targets >= 0).sum(1) == 1).all() and batch.targets.max(1).values.tolist() == batch.items.tolist()
    loss = bridge.calculate_loss(interaction)
    assert torch.isfinite(loss) and loss.requires_grad


def test_predictions():
    for model in (gcl.LightGCN, gcl.SASRec):
        bridge, loaders, _ = bridged(model, dim=4)
        bridge.eval()
        rows = next(iter(loaders.valid))[0] if model is gcl.LightGCN else next(iter(loaders.train))
        with torch.no_grad():
            full = bridge.full_sort_predict(rows).view(len(rows), -1)
            rows.update(type(rows)({"item_id": torch.full((len(rows),), 3)}))
            assert torch.allclose(bridge.predict(rows), full[:, 3]) and bool((full[:, 0] == -torch.inf).all())


def test_hooks_are_called():
    from recbole.trainer import Trainer

    class Hooked(gcl.LightGCN):
        calls = []

        def begin_epoch(self, epoch, generator):
            self.calls.append(f"epoch {epoch}")

        def after_step(self, step):
            self.calls.append(step)

    Hooked.__qualname__, Hooked.__module__ = "LightGCN", "gcl.recommenders.general.lightgcn"
    bridge, loaders, config = bridged(Hooked, dim=4)
    with enclosed(0):
        Trainer(config, bridge).fit(loaders.train, loaders.valid, verbose=False, saved=False)
    steps = len(loaders.train)
    assert Hooked.calls == ["epoch 1", *range(1, steps + 1), "epoch 2", *range(steps + 1, 2 * steps + 1)]


def test_in_a_script_of_recbole(tmp_path):
    """RecBole's own data set, configuration and trainer, as its users write it."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.trainer import Trainer

    folder = tmp_path / "mine"
    folder.mkdir()
    rows = "".join(f"u{u}\ti{(u + 3 * i) % 23}\t{i}\n" for u in range(20) for i in range(12))
    (folder / "mine.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + rows)
    shared = {"data_path": str(tmp_path), "epochs": 1, "checkpoint_dir": str(tmp_path / "saved"), "gpu_id": ""}
    shared |= {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}}
    for model, arguments in ((gcl.LightGCN, {"dim": 4}), (gcl.GRU4Rec, {"dim": 4})):
        kind = as_recbole(model, **arguments)
        with enclosed(0):
            config = Config(model=kind, dataset="mine", config_dict={**shared, **_sequential(model, kind)})
            train, valid, test = data_preparation(config, create_dataset(config))
            bridge = kind(config, train._dataset)
            trainer = Trainer(config, bridge)
            trainer.fit(train, valid, verbose=False)
            with compat.trusting():
                found = trainer.evaluate(test)
            again = Trainer(config, kind(config, train._dataset))
            compat.resume(again, trainer.saved_model_file)
        assert again.start_epoch == 1
        assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), bridge.parameters(), strict=True))
        assert 0 <= found["ndcg@10"] <= 1 and bridge.data.num_users == 20
        assert sorted(bridge.data.item_ids)[0] == "i0" and bridge.data.train.history.counts.max() <= 12


def _sequential(model, kind):
    return {"train_neg_sample_args": kind.negative_sampling} if model is gcl.GRU4Rec else {}


def test_what_recboles_trainer_cannot_train():
    with pytest.raises(InputError, match=r"MCLRec has 3 phases a batch \(encoder, augmenters, encoder\)"):
        bridged(gcl.MCLRec, dim=4)
    with pytest.raises(InputError, match="EASE has a closed form: there is nothing for RecBole's trainer to do"):
        bridged(gcl.EASE)

    with pytest.raises(InputError, match="model must be a class of recommenders, such as gcl.LightGCN, got 'LightGCN'"):
        as_recbole("LightGCN")
    with pytest.raises(InputError, match="LightGCN has no argument 'dimm'. Did you mean 'dim'"):
        as_recbole(gcl.LightGCN, dimm=3)

    class Hasty(gcl.LightGCN):
        def phases(self):
            from dataclasses import replace

            return [replace(super().phases()[0], lr=1.0)]

    Hasty.__qualname__, Hasty.__module__ = "LightGCN", "gcl.recommenders.general.lightgcn"
    with pytest.raises(InputError, match="The phase main of .* has an lr, a weight_decay or parameters of its own"):
        bridged(Hasty, dim=4)

    class Whole(gcl.LightGCN):
        sampling = gcl.data.Users()

    Whole.__qualname__, Whole.__module__ = "LightGCN", "gcl.recommenders.general.lightgcn"
    with pytest.raises(InputError, match="takes whole users, and RecBole's loaders give it pairs"):
        as_recbole(Whole)

    class Rich(gcl.LightGCN):
        needs = frozenset({"columns"})

    Rich.__qualname__, Rich.__module__ = "LightGCN", "gcl.recommenders.general.lightgcn"
    with pytest.raises(InputError, match="needs features of items, and RecBole's loaders give interactions alone"):
        as_recbole(Rich)
    bridge, loaders, _ = bridged(gcl.SASRec, dim=4, max_length=2)
    with pytest.raises(InputError, match="MAX_ITEM_LIST_LENGTH must be at most 2, the max_length of SASRec"):
        bridge.calculate_loss(next(iter(loaders.train)))
