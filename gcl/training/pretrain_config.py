"""What a pre-training is made of, and where each value came from.

Defaults < ``configs/<method>/<graph>.yaml`` < a file < ``key=value`` settings; a bare key means ``model.<key>``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field

from gcl import build, grammar
from gcl.config import tuned_file
from gcl.data.graphs import load_graphs
from gcl.errors import InputError, unknown
from gcl.evaluation.probes import ProbeSettings
from gcl.signatures import REQUIRED, check, parameters, settings

SECTIONS = ("model", "data", "train", "probe")


class PretrainSettings(BaseModel):
    """The section ``train`` of a pre-training; unknown keys are errors.

    Without ``batch_size`` a step has the whole graph, or 128 graphs. With it a step has so many graphs, or the subgraph
    of so many nodes of one graph and of random walks of ``walk`` steps from them (GraphSAINT, Zeng et al., ICLR 2020);
    every node begins one walk an epoch. No labels are read: ``patience`` looks at the loss.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(100, ge=1, description="at most so many epochs")
    batch_size: int | None = Field(None, ge=2, description="graphs, or nodes, of a step; null: 128 graphs, all nodes")
    walk: int = Field(2, ge=1, description="steps of the walks that widen a batch of nodes")
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty in Adam, on all parameters")
    warmup: int = Field(0, ge=0, description="epochs in which the rate rises from 0 to lr")
    schedule: Literal["constant", "cosine"] = Field("constant", description="the rate after that; cosine ends at 0")
    patience: int | None = Field(
        None, ge=1, description="stop after so many epochs without gain in loss, keep the best"
    )
    checkpoint_seconds: float = Field(60.0, ge=0, description="at most so much work, and an epoch, is lost")


@dataclass(frozen=True)
class Pretraining:
    """A configuration with nothing left open, as YAML has it; ``origins``: dotted path -> where the value came from."""

    name: str
    dataset: str
    model: dict[str, Any]
    data: dict[str, Any]
    train: dict[str, Any]
    probe: dict[str, Any]
    origins: dict[str, str] = field(compare=False)

    def leaves(self) -> dict[str, Any]:
        """Dotted path -> value, in order."""
        found: dict[str, Any] = {}
        for section in SECTIONS:
            for key, value in getattr(self, section).items():
                found |= grammar.leaves(value, f"{section}.{key}")
        return found

    def to_yaml(self) -> str:
        """The text of ``config.yaml``, with the origins that are not default."""
        tree = {"method": self.name, "dataset": self.dataset, **{s: getattr(self, s) for s in SECTIONS}}
        told = {path: origin for path, origin in self.origins.items() if origin != "default"}
        return yaml.safe_dump({**tree, "origins": told}, sort_keys=False, allow_unicode=True, width=120)

    @classmethod
    def from_yaml(cls, text: str, where: str = "config.yaml") -> Self:
        """The configuration that :meth:`to_yaml` wrote.

        Raises:
            InputError: the text is no such file.
        """
        tree = grammar.read(text, where)
        if not isinstance(tree, Mapping) or set(tree) != {"method", "dataset", *SECTIONS, "origins"}:
            raise InputError(f"{where} is not of a pre-training; name a folder that gcl pretrain wrote.")
        found = cls(name=tree["method"], **{key: value for key, value in tree.items() if key != "method"})
        return cls(**{**vars(found), "origins": {p: found.origins.get(p, "default") for p in found.leaves()}})


def resolve(
    method: str,
    dataset: str,
    given: Sequence[str] | Mapping[str, Mapping[str, Any]] = (),
    config_file: str | Path | None = None,
    plain: bool = False,
) -> Pretraining:
    """The configuration of ``method`` on the graphs ``dataset``; arguments as those of :func:`gcl.config.resolve`.

    The section ``model`` holds the arguments of the method and those of its encoder, such as ``hidden``; or another
    ``encoder``: ``{name: GCN, channels: [256, 128]}``, ``{name: GIN, ...}`` of gcl, or an import path such as
    ``torch_geometric.nn:GAT`` with its arguments but the first, the width of ``x``.

    Raises:
        InputError: an unknown method or key (with the nearest name), a value of another type, an unreadable file.
    """
    layers: list[tuple[str, list[tuple[list[str], Any]]]] = []
    tuned = None if plain else tuned_file(method, dataset)
    for path, told in ((tuned, f"configs/{method.lower()}/{dataset}.yaml"), (config_file, str(config_file))):
        if path is not None:
            layers.append((told, _of_file(Path(path))))
    if isinstance(given, Mapping):
        layers.append(
            ("call", grammar.sections({s: build.plain(v, s) for s, v in given.items()}, SECTIONS, "settings"))
        )
    else:
        layers.append(("command line", _of_line(given)))
    known = _known(method)
    values = {s: {n: v for n, v in known[s].items() if v is not REQUIRED} for s in SECTIONS}
    origins: dict[str, str] = {}
    for origin, entries in layers:
        for place, value in entries:
            section, key = place[:2]
            unknown([key], known[section], method if section == "model" else section)
            origins.update(dict.fromkeys(grammar.leaves(value, ".".join(place)), origin))
            values[section][key] = grammar.put(values[section].get(key), place[2:], value, ".".join(place))
    if values["model"]["encoder"] is not None:
        ours = ("default", f"configs/{method.lower()}/{dataset}.yaml")
        _replaced(
            method, values["model"], {n for n in values["model"] if origins.get(f"model.{n}", ours[0]) not in ours}
        )
    found = Pretraining(method, dataset, **_validated(method, values), origins={})
    found.origins.update({p: origins.get(p) or origins.get(p.removesuffix(".name"), "default") for p in found.leaves()})
    return found


def split_arguments(method: str, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The section ``model`` as arguments of the method and of its own encoder: checked, specifications as instances."""
    cls = build.method_class(method)
    own, inner = _own(cls), _inner(cls)
    if values.get("encoder") is not None:
        build.encoder_class(values["encoder"])
    rest = {n: v for n, v in values.items() if n != "encoder"}
    unknown(rest, [*own, *inner], method)
    made = check(cls, {n: v for n, v in rest.items() if n in own}, method, build.converters())
    if not inner or values.get("encoder") is not None:
        return made, {}
    return made, check(cls.default_encoder, {n: v for n, v in rest.items() if n in inner}, method)


def _replaced(method: str, model: dict[str, Any], given: set[str]) -> None:
    """Take the arguments of the method's own encoder out, which another replaces; an error for one that was given."""
    for name in _inner(build.method_class(method)):
        if name in given:
            raise InputError(
                f"{name} is of the encoder that {method} has of its own, and encoder= is another; give it in there, "
                f"such as encoder.{name}=..., or leave it out."
            )
        model.pop(name, None)


def _own(cls: Any) -> dict[str, Any]:
    return {name: default for name, (_, default) in parameters(cls).items() if name != "encoder"}


def _inner(cls: Any) -> dict[str, Any]:
    maker = getattr(cls, "default_encoder", None)
    known = {} if maker is None else parameters(maker)
    return {name: default for name, (_, default) in known.items() if name != "in_channels"}


def _known(method: str) -> dict[str, dict[str, Any]]:
    """Section -> argument -> default."""
    cls = build.method_class(method)
    for name in {*_inner(cls)} & {*_own(cls)}:
        raise InputError(f"{name} is an argument of {method} and of its default_encoder; give one another name.")
    arguments = {"encoder": None, **_inner(cls), **_own(cls)}
    model = {n: v if v is REQUIRED else build.plain(v, n) for n, v in arguments.items()}
    data = {n: default for n, (_, default) in parameters(load_graphs).items() if n != "source"}
    train = {**PretrainSettings.model_validate({}).model_dump(mode="json"), **getattr(cls, "train_defaults", {})}
    return {
        "model": model,
        "data": data,
        "train": train,
        "probe": ProbeSettings.model_validate({}).model_dump(mode="json"),
    }


def _validated(method: str, values: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    own, inner = split_arguments(method, values["model"])
    cls = build.method_class(method)
    asked = _own(cls) if values["model"].get("encoder") is not None else {**_inner(cls), **_own(cls)}
    missing = [n for n, v in asked.items() if v is REQUIRED and n not in values["model"]]
    if missing:
        raise InputError(f"{method} needs {', '.join(missing)}; give {missing[0]}=...")
    if values["model"].get("encoder") is None and getattr(cls, "default_encoder", None) is None:
        raise InputError(
            f"{method} has no encoder of its own; give one, such as encoder='{{name: GCN, channels: [256]}}'."
        )
    return {
        "model": build.plain({"encoder": values["model"].get("encoder"), **inner, **own}, "model"),
        "data": check(load_graphs, values["data"], "data", only=("normalize", "inputs")),
        "train": settings(PretrainSettings, values["train"], "train").model_dump(mode="json"),
        "probe": settings(ProbeSettings, values["probe"], "probe").model_dump(mode="json"),
    }


def _of_file(path: Path) -> list[tuple[list[str], Any]]:
    tree = grammar.read_file(path, "the configuration ") or {}
    return grammar.sections(tree, SECTIONS, str(path), ignored=("method", "dataset", "origins"))


def _of_line(given: Sequence[str]) -> list[tuple[list[str], Any]]:
    pairs = grammar.pairs(list(given))
    return [(path if path[0] in SECTIONS and len(path) > 1 else ["model", *path], value) for path, value in pairs]
