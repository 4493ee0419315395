"""What a run is made of, and where each value came from.

Constructor defaults < ``configs/<model>/<dataset>.yaml`` < a file < ``key=value`` settings. A file reads
``model: {} data: {} train: {} evaluate: {}``; a bare key on the command line means ``model.<key>``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from gcl import build, grammar
from gcl.errors import InputError, unknown
from gcl.signatures import REQUIRED, check, parameters, settings

if TYPE_CHECKING:
    from gcl.data import Dataset

SECTIONS = ("model", "data", "train", "evaluate")
EVALUATE = ("k", "exclude", "candidates", "min_train")
Layer = tuple[str, list[tuple[list[str], Any]]]
"""Where values come from, and (section, key, ...) -> value of each."""


@dataclass(frozen=True)
class Resolved:
    """A configuration with nothing left open: every argument of every section, as YAML has it.

    ``origins`` maps dotted paths to where the value came from; two configurations are equal when their values are.
    """

    name: str
    dataset: str
    model: dict[str, Any]
    data: dict[str, Any]
    train: dict[str, Any]
    evaluate: dict[str, Any]
    origins: dict[str, str] = field(compare=False)

    def sections(self) -> dict[str, dict[str, Any]]:
        """Section name -> its values."""
        return {s: getattr(self, s) for s in SECTIONS}

    def leaves(self) -> dict[str, Any]:
        """Dotted path -> value, in order."""
        found: dict[str, Any] = {}
        for section, values in self.sections().items():
            for key, value in values.items():
                found |= grammar.leaves(value, f"{section}.{key}")
        return found

    def to_yaml(self) -> str:
        """A file that ``--config`` and :meth:`from_yaml` read, with the origins that are not default."""
        told = {path: origin for path, origin in self.origins.items() if origin != "default"}
        tree = {"name": self.name, "dataset": self.dataset, **self.sections(), "origins": told}
        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)

    @classmethod
    def from_yaml(cls, text: str, where: str = "config.yaml") -> Self:
        """The configuration that :meth:`to_yaml` wrote.

        Raises:
            InputError: the text is no such file.
        """
        tree = grammar.read(text, where)
        wanted = ("name", "dataset", *SECTIONS, "origins")
        if not isinstance(tree, Mapping) or set(tree) != set(wanted):
            raise InputError(f"{where} must have the keys {', '.join(wanted)}: it was not written by gcl, or changed.")
        for section in (*SECTIONS, "origins"):
            if not isinstance(tree[section], Mapping):
                raise InputError(f"{where}: {section} must be a mapping, got {tree[section]!r}.")
        check_train(tree["train"], where)
        found = cls(**tree)
        return cls(**{**tree, "origins": {p: found.origins.get(p, "default") for p in found.leaves()}})


def resolve(
    model: str,
    dataset: "str | Path | Dataset",
    settings: Sequence[str] | Mapping[str, Mapping[str, Any]] = (),
    config_file: str | Path | None = None,
    plain: bool = False,
) -> Resolved:
    """The configuration of ``model`` on ``dataset``.

    Args:
        model: a name or an import path.
        dataset: a card's name, a path, or a data set already loaded (then the data section is empty). A ``Path``, and
            a data set that comes from no card, have no tuned file.
        settings: ``key=value`` texts, or a mapping of sections whose values may be instances of parts.
        config_file: a file of sections.
        plain: leave the tuned file out.

    Raises:
        InputError: an unknown model, key or part (with the nearest name), a value of another type, a file that cannot
            be read.
    """
    from gcl.data import Dataset

    label = dataset.name if isinstance(dataset, Dataset) else str(dataset)
    carded = bool(dataset.card) if isinstance(dataset, Dataset) else isinstance(dataset, str)
    layers: list[Layer] = []
    tuned = tuned_file(model, label) if carded and not plain else None
    if tuned is not None:
        layers.append(_file_layer(tuned, f"configs/{tuned.parent.name}/{tuned.name}", model))
    if config_file is not None:
        layers.append(_file_layer(Path(config_file), str(config_file), model))
    layers.append(_call_layer(settings) if isinstance(settings, Mapping) else _line_layer(settings))
    draft = _Draft(model, _known(model, dataset))
    for origin, entries in layers:
        for path, value in entries:
            draft.put(origin, path, value)
    resolved = Resolved(model, label, **draft.validated(), origins={})
    resolved.origins.update({path: draft.origin(path) for path in resolved.leaves()})
    return resolved


def check_train(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The train section, checked, its defaults filled in."""
    from gcl.training.settings import TrainSettings

    return settings(TrainSettings, values, where).model_dump(mode="json")


def tuned_file(model: str, dataset: str) -> Path | None:
    """``configs/<model in lower case>/<dataset>.yaml``, where there is one."""
    from gcl.data import share

    if ":" in model or Path(dataset).name != dataset:
        return None
    found = share("configs", model.lower(), f"{dataset}.yaml")
    return found if found.is_file() else None


def _known(model: str, dataset: "str | Path | Dataset") -> dict[str, dict[str, Any]]:
    """Section -> argument -> default."""
    from gcl.data import Dataset, load
    from gcl.evaluation import evaluate

    cls = build.model_class(model)
    loads = {} if isinstance(dataset, Dataset) else _defaults(load)
    loads.pop("dataset", None)
    train = check_train({}, "train")
    if build.family(model) == "sequential":
        train["metric"] = "ndcg@10"
    train.update(cls.train_defaults)
    evaluates = _defaults(evaluate)
    return {"model": _defaults(cls), "data": loads, "train": train, "evaluate": {n: evaluates[n] for n in EVALUATE}}


def _defaults(target: Callable[..., Any]) -> dict[str, Any]:
    return {
        name: default if default is REQUIRED else build.plain(default, name)
        for name, (_, default) in parameters(target).items()
    }


def _part_arguments(model: str) -> dict[str, bool]:
    """Arguments of the model that are specifications -> whether they are lists of them."""
    from gcl.losses import Objective
    from gcl.views import View, Views

    kinds = {Objective: False, View: False, Views: True}
    known = parameters(build.model_class(model))
    return {name: kinds[hint] for name, (hint, _) in known.items() if hint in kinds}


def _file_layer(path: Path, origin: str, model: str) -> Layer:
    tree = grammar.read_file(path, "the configuration ") or {}
    entries = grammar.sections(tree, SECTIONS, str(path), ignored=("name", "dataset", "origins"))
    if tree.get("name", model) != model:
        raise InputError(f"{path} is the configuration of {tree['name']}, not of {model}.")
    return origin, entries


def _call_layer(settings: Mapping[str, Mapping[str, Any]]) -> Layer:
    return "call", grammar.sections({s: build.plain(v, s) for s, v in settings.items()}, SECTIONS, "settings")


def _line_layer(settings: Sequence[str]) -> Layer:
    entries: list[tuple[list[str], Any]] = []
    for path, value in grammar.pairs(list(settings)):
        if path[0] in SECTIONS and len(path) == 1:
            entries += grammar.sections({path[0]: value}, SECTIONS, path[0])
        else:
            entries.append((path if path[0] in SECTIONS else ["model", *path], value))
    return "command line", entries


class _Draft:
    """Values of all sections as layer after layer is laid on them, and the origin of what was laid."""

    def __init__(self, model: str, known: dict[str, dict[str, Any]]) -> None:
        self.model, self.known = model, known
        self.values = {s: {n: v for n, v in known[s].items() if v is not REQUIRED} for s in SECTIONS}
        self.origins: dict[str, str] = {}
        self.parts = _part_arguments(model)

    def put(self, origin: str, path: list[str], value: Any) -> None:
        """Lay one value at (section, key, ...)."""
        section, key = path[:2]
        unknown([key], self.known[section], self.model if section == "model" else section)
        if section == "model" and key in self.parts:
            path = path[:-1] if path[-1] == "name" and len(path) > 2 else path
            value = _shaped(value, self.parts[key] and len(path) == 2)
        whole = ".".join(path)
        if not isinstance(value, Mapping) or "name" in value:
            for old in [p for p in self.origins if p == whole or p.startswith(f"{whole}.")]:
                del self.origins[old]
        self.origins.update(dict.fromkeys(grammar.leaves(value, whole), origin))
        self.values[section][key] = grammar.put(self.values[section].get(key), path[2:], value, whole)

    def origin(self, path: str) -> str:
        """Where the value of a leaf came from."""
        return self.origins.get(path) or self.origins.get(path.removesuffix(".name"), "default")

    def validated(self) -> dict[str, dict[str, Any]]:
        """All sections, checked, as YAML has them."""
        from gcl.data import load
        from gcl.evaluation import evaluate

        missing = [n for n in self.known["model"] if n not in self.values["model"]]
        if missing:
            raise InputError(f"{self.model} needs {', '.join(missing)}; give {missing[0]}=...")
        checked = {
            "model": build.check_arguments(self.model, self.values["model"]),
            "data": check(load, self.values["data"], "data", only=list(self.known["data"])),
            "train": check_train(self.values["train"], "train"),
            "evaluate": check(evaluate, self.values["evaluate"], "evaluate", only=EVALUATE),
        }
        return {section: build.plain(values, section) for section, values in checked.items()}


def _shaped(value: Any, entries: bool) -> Any:
    """A specification with names written as mappings; ``entries``: as a list of them."""
    if entries and not isinstance(value, list):
        value = [value]
    if isinstance(value, list):
        return [_shaped(v, False) for v in value]
    return {"name": value} if isinstance(value, str) else value
