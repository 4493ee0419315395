from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from gcl.errors import InputError
from gcl.signatures import REQUIRED, check, parameters, settings


def target(
    data: object,
    layers: int = 3,
    reg: float = 1e-4,
    flag: bool = False,
    ratios: tuple[float, ...] = (0.8, 0.2),
    mode: Literal["a", "b"] = "a",
    file: str | Path | None = None,
    where: Path = Path(),
    weights: Mapping[str, float] | None = None,
    k: int | Sequence[int] = 10,
    *args: int,
    need: Annotated[int, "units"],
    **more: int,
) -> None: ...


def test_parameters_leave_data_and_variadic_ones_out():
    found = parameters(target)
    assert list(found) == ["layers", "reg", "flag", "ratios", "mode", "file", "where", "weights", "k", "need"]
    assert found["need"][1] is REQUIRED
    assert found["layers"] == (int, 3)


def test_good_values_are_converted():
    given = {"layers": 2, "reg": 1, "ratios": [0.5, 0.5], "where": "x", "weights": {"a": 1}, "k": [10, 20], "file": "y"}
    assert check(target, given, "T") == {
        "layers": 2, "reg": 1.0, "ratios": (0.5, 0.5), "where": Path("x"), "weights": {"a": 1.0}, "k": [10, 20],
        "file": "y",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"layers": "abc"}, r"^T: layers must be a valid integer, got 'abc'\.$"),
        ({"layers": True}, r"^T: layers must be a valid integer, got True\.$"),
        ({"layers": 2.0}, r"^T: layers must be a valid integer, got 2\.0\.$"),
        ({"layers": "3"}, r"^T: layers must be a valid integer, got '3'\.$"),
        ({"reg": True}, r"^T: reg must be a valid number, got True\.$"),
        ({"reg": float("nan")}, r"^T: reg must be a finite number, got nan\.$"),
        ({"flag": 1}, r"^T: flag must be a valid boolean, got 1\.$"),
        ({"mode": "c"}, r"^T: mode must be 'a' or 'b', got 'c'\.$"),
        ({"ratios": [0.5, "x"]}, r"^T: ratios must be a valid number at position 1, got \[0\.5, 'x'\]\.$"),
        ({"k": "ten"}, r"^T: k must be a valid integer or .*, got 'ten'\.$"),
        ({"layer": 2}, r"^T has no argument 'layer'\. Did you mean 'layers'\? Valid: .*layers"),
        ({"data": 2}, r"^T has no argument 'data'\."),
    ],
)
def test_bad_values_name_argument_rule_and_value(values, text):
    with pytest.raises(InputError, match=text):
        check(target, values, "T")


def test_only_narrows_the_signature():
    assert check(target, {"reg": 2}, "T", only=("reg",)) == {"reg": 2.0}
    with pytest.raises(InputError, match=r"^T has no argument 'layers'\..* Valid: reg\.$"):
        check(target, {"layers": 2}, "T", only=("reg",))


def test_no_arguments_at_all():
    with pytest.raises(InputError, match=r"^T has no argument 'x'\. It takes none\.$"):
        check(lambda: None, {"x": 1}, "T")


class Part:
    def __init__(self, name: str) -> None:
        self.name = name


class Finer(Part): ...


def uses(one: Part, many: Sequence[Part], finer: Finer, maybe: Part | None = None) -> None: ...


def test_parts_are_made_by_their_converters():
    made = check(uses, {"one": "a", "many": ["b"], "maybe": "c"}, "T", {Part: Part})
    assert (made["one"].name, made["many"][0].name, made["maybe"].name) == ("a", "b", "c")
    assert check(uses, {"maybe": None}, "T", {Part: lambda x: x})["maybe"] is None


def test_errors_of_converters_pass_through():
    def refuse(value: object) -> Part:
        raise InputError(f"Unknown part {value!r}.")

    with pytest.raises(InputError, match=r"^T: one: Unknown part 'a'\.$"):
        check(uses, {"one": "a"}, "T", {Part: refuse})


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    epochs: int = Field(100, ge=1)
    lr: float = 1e-3


def test_pydantic_settings_speak_the_same_way():
    assert settings(Settings, {"epochs": 3, "lr": 1}, "train") == Settings(epochs=3, lr=1.0)
    with pytest.raises(InputError, match=r"^train has no argument 'epoch'\. Did you mean 'epochs'\?"):
        settings(Settings, {"epoch": 3}, "train")
    with pytest.raises(InputError, match=r"^train: epochs must be greater than or equal to 1, got 0\.$"):
        settings(Settings, {"epochs": 0}, "train")
    with pytest.raises(InputError, match=r"^train: epochs must be a valid integer, got True\.$"):
        settings(Settings, {"epochs": True}, "train")
