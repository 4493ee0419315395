import pytest

from gcl.errors import InputError
from gcl.grammar import leaves, pairs, put, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3), ("1E5", 1e5), (".5", 0.5), ("-2.", -2.0), ("7", 7), ("-7", -7), ("007", "007"),
        ("1:30", "1:30"), ("no", "no"), ("on", "on"), ("true", True), ("2014-07-01", "2014-07-01"),
        ("null", None), ("~", None), ("", None), ("abc", "abc"), ("mypkg.mod:Name", "mypkg.mod:Name"),
        ("[10, 20]", [10, 20]), ("{a: 1e-3}", {"a": 1e-3}),
        ("'7'", "7"), ("None", "None"), ("1_000", "1_000"), ("e5", "e5"),
    ],
)  # fmt: skip
def test_scalars_mean_what_they_look_like(text, value):
    found = read(text, "here")
    assert found == value
    assert type(found) is type(value)


def test_bad_yaml_names_the_place():
    with pytest.raises(InputError, match=r"^file.yaml, line 2, column \d+: not valid YAML: "):
        read("a: 1\nb: [1", "file.yaml")


def test_repeated_key_is_an_error():
    with pytest.raises(InputError, match=r"^file.yaml: dim is given twice in one mapping; keep one\.$"):
        read("dim: 1\ndim: 2", "file.yaml")


def test_python_objects_are_not_built():
    with pytest.raises(InputError, match="not valid YAML"):
        read("!!python/object/apply:os.getcwd []", "here")


def test_pairs_put_whole_values_before_their_parts():
    found = pairs(["objective.temperature=0.3", "objective=DCL", "dim=8"])
    assert found == [(["objective"], "DCL"), (["dim"], 8), (["objective", "temperature"], 0.3)]
    assert pairs(["a=b=c"]) == [(["a"], "b=c")]


@pytest.mark.parametrize("setting", ["dim", "=3", "a..b=1", ".a=1"])
def test_a_setting_needs_a_key_and_a_sign(setting):
    with pytest.raises(InputError, match=r"^A setting must be key=value, such as .*, got '"):
        pairs([setting])


def test_a_key_twice_is_an_error():
    with pytest.raises(InputError, match=r"^dim is given twice; keep one\.$"):
        pairs(["dim=1", "dim=2"])


def test_put_reaches_into_names_mappings_and_lists():
    assert put("DCL", ["temperature"], 0.3, "x") == {"name": "DCL", "temperature": 0.3}
    assert put([["Noise"], "Noise"], ["0", "0", "eps"], 0.3, "x") == [[{"name": "Noise", "eps": 0.3}], "Noise"]
    assert put({"name": "Noise"}, ["0", "eps"], 0.3, "x") == {"name": "Noise", "eps": 0.3}
    assert put(None, ["a", "b"], 1, "x") == {"a": {"b": 1}}


def test_a_mapping_without_name_changes_and_with_name_replaces():
    old = {"name": "A", "p": 1, "q": {"r": 1, "s": 2}}
    assert put(old, [], {"q": {"r": 5}}, "x") == {"name": "A", "p": 1, "q": {"r": 5, "s": 2}}
    assert put(old, [], {"name": "B"}, "x") == {"name": "B"}
    assert put("A", [], {"p": 2}, "x") == {"name": "A", "p": 2}
    assert put(old, [], 3, "x") == 3
    assert old["q"] == {"r": 1, "s": 2}


def test_put_says_what_is_not_there():
    with pytest.raises(InputError, match=r"^views.2 cannot be set: entry 2 of 1, counted from 0\.$"):
        put(["Noise"], ["2"], 1, "views.2")
    with pytest.raises(
        InputError, match=r"^views.eps cannot be set: .* inside \['Noise'\]; name one entry by its number"
    ):
        put(["Noise"], ["eps"], 1, "views.eps")
    with pytest.raises(InputError, match=r"^dim.a cannot be set: there is nothing named 'a' inside 64\.$"):
        put(64, ["a"], 1, "dim.a")
    with pytest.raises(InputError, match=r"^dim.0 cannot be set: 64 has no entry 0\.$"):
        put(64, ["0"], 1, "dim.0")


def test_leaves_are_dotted_paths():
    tree = {"a": 1, "k": [10, 20], "views": [{"name": "N"}, [{"name": "M", "p": 0.1}]], "empty": {}}
    assert leaves(tree, "m") == {
        "m.a": 1, "m.k": [10, 20], "m.views.0.name": "N", "m.views.1.0.name": "M", "m.views.1.0.p": 0.1, "m.empty": {},
    }  # fmt: skip
