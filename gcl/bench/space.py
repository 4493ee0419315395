"""Where settings are searched: ranges and choices, by setting."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeGuard, get_args, get_origin

from gcl import build, grammar
from gcl.config import Resolved
from gcl.errors import InputError, unknown
from gcl.recommenders import Recommender
from gcl.signatures import parameters


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; ``log``: every factor is as likely; ``whole`` numbers only."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Choice:
    """One of some values, of any kind that YAML has."""

    values: tuple[Any, ...]


Space = dict[str, Range | Choice]

AROUND = frozenset(
    {"weight", "reg", "decay", "gamma", "meta", "intent_weight", "prototype_weight", "intent_reg", "bottleneck", "l2"}
)
"""Weights of terms: searched from a tenth to ten times what they are."""
KNOWN: Mapping[str, Range] = {
    "layers": Range(1, 4, whole=True),
    "dropout": Range(0.0, 0.7),
    "p": Range(0.05, 0.6),
    "eps": Range(0.01, 0.5, log=True),
    "temperature": Range(0.05, 1.0, log=True),
}
"""Arguments of models, objectives and views that are searched in one range whatever they are."""
RATE = Range(5e-4, 2e-2, log=True)
"""Of ``train.lr``, for models that are trained by steps."""


def of(config: Resolved) -> Space:
    """The space around a configuration: what the model's constructor declares, and arguments known by their name.

    Declared is an argument annotated with bounds on both sides, such as ``Annotated[int, Field(ge=1, le=4)]``; a range
    of two orders of magnitude or more above 0 is searched by factors. By name: :data:`AROUND` and :data:`KNOWN`, also
    inside objective and views. A weight of 0 switches its term off, and is left alone.
    """
    cls = build.model_class(config.name)
    space: Space = {"train.lr": RATE} if cls.fit_closed is Recommender.fit_closed else {}
    for name, (annotation, _) in parameters(cls).items():
        declared = _declared(annotation)
        if declared is not None:
            space[name] = declared
            continue
        for path, value in grammar.leaves(config.model[name], name).items():
            found = _by_name(path.rpartition(".")[2], value)
            if found is not None:
                space[path] = found
    return space


def holds(one: Range | Choice, value: Any) -> bool:
    """Whether a value could have been proposed."""
    return value in one.values if isinstance(one, Choice) else one.low <= value <= one.high


def read(path: Path) -> Space:
    """The space in a YAML file: setting -> ``{low, high, log}`` or a list of choices.

    Raises:
        InputError: the file cannot be read, or an entry is no range and no list; the entry is named.
    """
    tree = grammar.read_file(path, "the space ")
    if not isinstance(tree, Mapping) or not tree:
        raise InputError(f"{path} must be a mapping of settings to ranges or lists of choices, got {tree!r}.")
    return {str(name): _entry(value, f"{path}: {name}") for name, value in tree.items()}


def _entry(value: Any, where: str) -> Range | Choice:
    if isinstance(value, list) and value:
        return Choice(tuple(value))
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must be {{low: ..., high: ...}} or a list of choices, got {value!r}.")
    unknown(value, ("low", "high", "log"), where)
    low, high, log = value.get("low"), value.get("high"), value.get("log", False)
    if not _number(low) or not _number(high) or not isinstance(log, bool) or low >= high or (log and low <= 0):
        raise InputError(f"{where} needs numbers low < high, above 0 where log is true, got {dict(value)!r}.")
    return Range(low, high, log, isinstance(low, int) and isinstance(high, int))


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _by_name(name: str, value: Any) -> Range | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        return None
    if name in AROUND:
        return Range(value / 10, value * 10, log=True)
    return KNOWN.get(name)


def _declared(annotation: Any) -> Range | None:
    """The range of an annotation with bounds on both sides; of whole numbers, a bound that is left out moves by one."""
    if get_origin(annotation) is not Annotated:
        return None
    kind, *metadata = get_args(annotation)
    bounds: dict[str, Any] = {}
    for one in (inner for entry in metadata for inner in getattr(entry, "metadata", [entry])):
        bounds |= {
            name: getattr(one, name) for name in ("ge", "gt", "le", "lt") if getattr(one, name, None) is not None
        }
    step = 1 if kind is int else 0
    low = bounds["gt"] + step if "gt" in bounds else bounds.get("ge")
    high = bounds["lt"] - step if "lt" in bounds else bounds.get("le")
    if kind not in (int, float) or low is None or high is None:
        return None
    return Range(low, high, log=low > 0 and high / low >= 100, whole=kind is int)
