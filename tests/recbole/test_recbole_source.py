"""RecBole's split as gcl's: the very pairs of RecBole's own loaders."""

import pytest
import torch

from gcl import recbole
from gcl.errors import InputError
from gcl.recbole.enclosure import enclosed


def tokens(data, part):
    rows = getattr(data, part)
    users, items = data.user_ids[rows.user.numpy()], data.item_ids[rows.item.numpy()]
    return set(zip(users.tolist(), items.tolist(), strict=True))


def recboles(model, **settings):
    """Pairs of each part, out of RecBole's own data_preparation."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation

    with enclosed(settings.get("seed", 2020)):
        config = Config(
            model=model, dataset="ml-100k", config_dict={"gpu_id": "", "checkpoint_dir": "/none", **settings}
        )
        whole = create_dataset(config)
        loaders = data_preparation(config, whole)
    found = []
    for loader in loaders:
        rows = loader._dataset.inter_feat
        pairs = set(zip(rows["user_id"].tolist(), rows["item_id"].tolist(), strict=True))
        if "item_id_list" in rows and loader is loaders[0]:
            owner = rows["user_id"].repeat_interleave(rows["item_length"])
            inside = torch.arange(rows["item_id_list"].shape[1]) < rows["item_length"][:, None]
            pairs |= set(zip(owner.tolist(), rows["item_id_list"][inside].tolist(), strict=True))
        users, items = whole.field2id_token["user_id"], whole.field2id_token["item_id"]
        found.append({(str(users[u]), str(items[i])) for u, i in pairs})
    return found


@pytest.mark.parametrize(
    ("model", "settings", "sizes"),
    [
        ("BPR", {}, (80808, 9596, 9596)),
        ("BPR", {"seed": 7, "eval_args": {"split": {"RS": [7, 2, 1]}, "order": "RO", "group_by": "user"}}, None),
        pytest.param("GRU4Rec", {"train_neg_sample_args": None}, (98114, 943, 943), marks=pytest.mark.slow),
    ],
)
def test_the_pairs_are_recboles(model, settings, sizes):
    data = recbole.load("ml-100k", model=model, **settings)
    assert [tokens(data, part) for part in ("train", "valid", "test")] == recboles(model, **settings)
    if sizes is not None:
        assert tuple(map(len, (data.train, data.valid, data.test))) == sizes
    assert data.ordered and data.split.made["by"] == "recbole" and "movie_title" in data.item_columns
    assert int(data.train.time[0]) > 8e8 and float(data.train.value[0]) in (1, 2, 3, 4, 5)


def write(folder, rows):
    folder.mkdir()
    text = "".join(f"{u}\t{i}\n" for u, i in rows)
    (folder / f"{folder.name}.inter").write_text("user_id:token\titem_id:token\n" + text)


def test_folders_and_mappings(tmp_path):
    write(tmp_path / "ml-100k", [(f"a{u}", f"b{i}") for u in range(5) for i in range(u, u + 10)])
    data = recbole.load(tmp_path / "ml-100k")
    assert data.num_users == 5 and len(data.test) == 5 and not data.ordered
    same = recbole.load({"dataset": str(tmp_path / "ml-100k"), "seed": 2020})
    assert same.split.hash == data.split.hash
    assert recbole.load({"dataset": tmp_path / "ml-100k"}, seed=1).split.hash != data.split.hash


def test_errors(tmp_path):
    write(tmp_path / "twice", [(f"a{u}", f"b{i % 7}") for u in range(5) for i in range(14)])
    with pytest.raises(InputError, match=r"RecBole's split of 'twice' cannot be used: .* rm_dup_inter does"):
        recbole.load(tmp_path / "twice")
    with pytest.raises(InputError, match="The settings must name a dataset"):
        recbole.load({"seed": 1})
    with pytest.raises(InputError, match="RecBole's data set 'nowhere' is not in .*; name its folder"):
        recbole.load("nowhere")
    with pytest.raises(InputError, match="RecBole has no model 'BPRR'. Did you mean 'BPR'"):
        recbole.load("ml-100k", model="BPRR")
    with pytest.raises(InputError, match="RecBole has no argument 'sed'. Did you mean 'seed'"):
        recbole.load("ml-100k", sed=3)
    with pytest.raises(InputError, match="dataset must be a name, a folder, settings or a Config of RecBole, got 3"):
        recbole.load(3)
    with pytest.raises(InputError, match="RecBole cannot make this split: .*; eval_args is .*'XX'"):
        recbole.load("ml-100k", eval_args={"split": {"XX": [0.8, 0.1, 0.1]}})
    write(tmp_path / "other", [("a", "b")])
    file = tmp_path / "other/other.inter"
    file.write_text(file.read_text().replace("user_id:token", "reader:token"))
    with pytest.raises(InputError, match="other.inter"):
        recbole.load(tmp_path / "other")
