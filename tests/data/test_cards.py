import pytest
from pydantic import ValidationError

from gcl.data import Plan, cards, check, fetch, load, share
from gcl.data.cards import Card
from gcl.errors import InputError

ABSENT = {"yelp2018", "amazon-book", "amazon-baby-mmrec", "amazon-sports-mmrec", "amazon-clothing-mmrec"}
"""Sets that cannot be had without a download."""
NAMES = cards.names()


def test_there_is_a_card_for_every_set_and_the_well_known_ones():
    assert set(NAMES) == ABSENT | {
        "gowalla", "lastfm", "lastfm-adagcl", "ml-1m", "ml-100k", "amazon-cds", "amazon-electronics", "dbbook",
        "beauty", "sports", "toys", "video-games", "amazon-beauty-selfrec", "tiktok", "amazon-baby", "amazon-sports",
        "amazon-clothing", "cora", "citeseer", "amazon-photo", "amazon-computers", "coauthor-physics", "mutag",
        "ptc-mr", "nci1", "imdb-binary", "imdb-multi",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_cards_are_whole(name):
    card = cards.find(name)
    assert card.name == name
    assert card.license and card.citation and card.source
    assert card.expected.model_dump(exclude_none=True)
    assert "name" in card.plain() and Card.model_validate(card.plain()) == card
    if name not in ABSENT:
        assert all(file.sha256 or file.optional for file in card.files.values())
    assert card.by_hand or all(file.url for file in card.files.values() if not file.optional)


def test_published_exclusion():
    rules = {name: cards.find(name).published for name in ("lastfm-adagcl", "tiktok", "gowalla", "beauty")}
    assert [rule.exclude for rule in rules.values()] == ["train", "train", "train", "none"]
    assert rules["lastfm-adagcl"].figures["LightGCN"] == {"recall@20": 0.2349, "ndcg@20": 0.1704}


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ABSENT])
def test_files_and_counts_are_those_of_the_card(gcl_data, name, monkeypatch):
    monkeypatch.setenv("GCL_DATA", str(gcl_data))
    report = check(name)
    assert report.ok, "\n".join(report.lines())
    assert report.folder == gcl_data / cards.find(name).folder
    assert "changed" not in report.files.values() and "reordered" not in report.files.values()


@pytest.mark.data
def test_ml_100k_has_titles_genres_and_times(gcl_data, monkeypatch):
    monkeypatch.setenv("GCL_DATA", str(gcl_data))
    data = load("ml-100k")
    assert data.item_columns["title"][data.item_ids.tolist().index("50")] == "Star Wars"
    assert data.item_columns["genres"][0] == ["Animation", "Children's", "Comedy"]
    assert data.user_columns["occupation"][0] == "technician"
    assert data.ordered and data.card["title"] == "MovieLens-100k"
    assert data.split.made == {"kind": "ratio", "ratios": [0.8, 0.1, 0.1], "order": "random", "seed": 0}
    assert load("ml-100k", seed=1).split.hash != data.split.hash
    assert len(load("ml-100k", min_value=4, min_user=5, min_item=5).train) < 45000


@pytest.mark.data
def test_dbbook_takes_dislikes_only_when_asked(gcl_data, monkeypatch):
    monkeypatch.setenv("GCL_DATA", str(gcl_data))
    whole = load("dbbook", min_value=0)
    assert (whole.num_users, whole.num_items) == (6179, 4191)
    assert [len(p) for p in (whole.train, whole.valid, whole.test)] == [94963, 9478, 17338]


@pytest.mark.data
def test_positions_are_time_where_the_card_says_so(gcl_data, monkeypatch):
    monkeypatch.setenv("GCL_DATA", str(gcl_data))
    data = load("amazon-beauty-selfrec")
    lines = (gcl_data / "sequential/amazon-beauty-selfrec/test.txt").read_text().split()
    named = zip(data.user_ids[data.test.user], data.item_ids[data.test.item], strict=True)
    assert sorted(lines) == sorted(f"{u}:{i}" for u, i in named)
    assert load("beauty").ordered
    attributes = load("beauty").item_columns["attributes"]
    assert round(sum(len(a) for a in attributes) / len(attributes), 2) == 3.72
    assert not load("amazon-electronics").ordered
    with pytest.raises(InputError, match=r"^order='time' needs time"):
        load("amazon-electronics", split="ratio", order="time")


@pytest.mark.data
def test_modalities_of_tiktok(gcl_data, monkeypatch):
    monkeypatch.setenv("GCL_DATA", str(gcl_data))
    data = load("tiktok")
    assert {name: m.values.shape for name, m in data.modalities.items()} == {"image": (6710, 128), "audio": (6710, 128)}
    assert data.modalities["image"].values.dtype.is_floating_point and data.modalities["image"].present.all()


def test_errors(monkeypatch, tmp_path):
    monkeypatch.setenv("GCL_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("GCL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"^Unknown data set 'gowala'\. Did you mean 'gowalla'\? Valid: amazon-baby,"):
        load("gowala")
    with pytest.raises(InputError, match=r"'gowalla' is not on this machine; looked in .*none/cf/gowalla, .*cache/gow"):
        load("gowalla")
    with pytest.raises(InputError, match=r"Run: gcl datasets get gowalla\.$"):
        load("gowalla")
    with pytest.raises(InputError, match=r"By hand: convert trnMat\.pkl"):
        load("amazon-baby")
    with pytest.raises(InputError, match=r"^cora is a data set of graphs: it has no users"):
        load("cora")
    with pytest.raises(InputError, match=r"^gowalla has the format lists, not 'csv'; leave format out\.$"):
        load("gowalla", format="csv")


def test_the_wheel_of_recbole_is_found_without_import(monkeypatch, tmp_path):
    pytest.importorskip("recbole")
    monkeypatch.delenv("GCL_DATA", raising=False)
    monkeypatch.setenv("GCL_CACHE", str(tmp_path))
    assert len(load("ml-100k").train) == 80024


def test_without_the_wheel_the_message_says_how_to_obtain_it(monkeypatch, tmp_path):
    monkeypatch.delenv("GCL_DATA", raising=False)
    monkeypatch.setenv("GCL_CACHE", str(tmp_path))
    monkeypatch.setattr("gcl.data.locate.find_spec", lambda name: None)
    how = r"By hand: pip install recbole==1\.2\.1 \(on Python 3\.12 and later: pip install --no-deps recbole==1\.2\.1;"
    with pytest.raises(InputError, match=rf"^The data set 'ml-100k' is not on this machine; .*{how}"):
        load("ml-100k")
    with pytest.raises(InputError, match=rf"^ml-100k cannot be fetched: .* has no address\. {how}"):
        fetch("ml-100k")


def test_a_wrong_card_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(cards, "share", lambda *parts: tmp_path.joinpath(*parts))
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/mine.yaml").write_text("title: x\nkinds: general\n")
    with pytest.raises(InputError, match=r"^The card .*mine\.yaml is not valid: (?s:.*)kinds"):
        cards.find("mine")
    with pytest.raises(ValidationError, match=r"Extra inputs are not permitted"):
        cards.Counts(user=3)


def test_shared_files_are_found():
    assert (share("datasets") / "ml-100k.yaml").is_file()
    assert share("configs", "simgcl").parts[-2:] == ("configs", "simgcl")
    assert Plan().split is None
