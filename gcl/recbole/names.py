"""The models of RecBole by name: found in its files, without importing it."""

import ast
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gcl import build, grammar
from gcl.errors import InputError, nearest

FAMILIES = {"general": "general_recommender", "sequential": "sequential_recommender"}
OTHERS = {"context-aware": "context_aware_recommender", "knowledge-aware": "knowledge_aware_recommender"}
BEYOND: dict[str, str] = {
    **dict.fromkeys(("DIEN", "DIN", "FDSA", "GRU4RecF", "SASRecF", "S3Rec"), "it reads features of items"),
    **dict.fromkeys(("GRU4RecKG", "KSR"), "it reads a knowledge graph"),
    "RaCT": "it is trained in three runs, each from the file of the one before",
}
"""General and sequential models that need more than interactions and one run."""
MODULES = {"NCL": "faiss"}
"""Models that need a package which recbole does not bring."""
COMMON: dict[str, Any] = {
    "learner": "adam",
    "clip_grad_norm": None,
    "train_neg_sample_args": None,
    "require_pow": False,
}
"""Settings that every model of RecBole reads, beside those of its own; ``train_neg_sample_args`` null: as it needs."""


@cache
def catalogue() -> Mapping[str, str]:
    """Model -> general, sequential, context-aware or knowledge-aware."""
    found: dict[str, str] = {}
    for family, folder in (FAMILIES | OTHERS).items():
        tree = ast.parse((_home() / "model" / folder / "__init__.py").read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                found |= {alias.name: family for alias in node.names}
    return found


def supported() -> list[str]:
    """General and sequential models that train on interactions alone, in one run."""
    return [name for name, family in catalogue().items() if family in FAMILIES and name not in BEYOND]


def check(name: str) -> str:
    """The family of a RecBole model, general or sequential.

    Raises:
        InputError: an unknown name (with the nearest), or a model that needs more than interactions.
    """
    family = catalogue().get(name)
    if family is None:
        raise InputError(f"RecBole has no model {name!r}. {nearest(name, supported())}")
    if family not in FAMILIES:
        raise InputError(
            f"RecBole's {name} is {family}: it needs more than interactions, and gcl.recbole trains general and "
            f"sequential models. {nearest(name, supported())}"
        )
    if name in BEYOND:
        raise InputError(
            f"RecBole's {name} cannot be trained on interactions alone in one run: {BEYOND[name]}. "
            f"{nearest(name, supported())}"
        )
    if name in MODULES and find_spec(MODULES[name]) is None:
        raise InputError(f"RecBole's {name} needs {MODULES[name]}, which is not installed: pip install faiss-cpu.")
    return family


def resolve(name: str) -> str:
    """What ``engine=recbole`` means by a model: an import path of RecBole's model, or the name of gcl's.

    A name that both have is RecBole's own model; ``gcl:NAME`` is gcl's.

    Raises:
        InputError: as :func:`check`, or an import path that holds no recommender.
    """
    if ":" in name:
        return build.name_of(build.model_class(name))
    if name in catalogue():
        check(name)
        return f"gcl.recbole:{name}"
    if name in build.MODELS:
        return name
    raise InputError(f"Neither RecBole nor gcl has a model {name!r}. {nearest(name, {*supported(), *build.MODELS})}")


def defaults(name: str) -> dict[str, Any]:
    """Argument -> RecBole's default, of a model: its own, then :data:`COMMON`."""
    own = _properties(name)
    sequence = {"MAX_ITEM_LIST_LENGTH": 50} if catalogue()[name] == "sequential" else {}
    return {argument(key): value for key, value in {**own, **sequence, **COMMON}.items()}


def argument(key: str) -> str:
    """The name of a setting of RecBole as an argument: ``time-aware`` is no name in Python, ``time_aware`` is."""
    return key.replace("-", "_")


def keys(name: str) -> dict[str, str]:
    """Argument -> RecBole's own key, where they differ."""
    return {argument(key): key for key in _properties(name) if argument(key) != key}


def _properties(name: str) -> dict[str, Any]:
    file = _home() / "properties" / "model" / f"{name}.yaml"
    return (grammar.read(file.read_text(encoding="utf-8"), file.name) if file.is_file() else None) or {}


def settings(model: str) -> frozenset[str]:
    """All settings that RecBole documents: of a run, of a data set, and of a model."""
    files = [*(_home() / "properties").glob("*.yaml"), *(_home() / "properties/dataset").glob("sample.yaml")]
    files += (_home() / "properties/quick_start_config").glob("*.yaml")
    trees = [grammar.read(file.read_text(encoding="utf-8"), file.name) or {} for file in files]
    return frozenset({"model", "dataset", "loss_type"}.union(_properties(model), *trees))


def needs_users(name: str) -> bool:
    """Whether a sequential model reads the user's id beside the history."""
    file = _home() / "model" / FAMILIES["sequential"] / f"{name.lower()}.py"
    return "interaction[self.USER_ID]" in file.read_text(encoding="utf-8")


def _home() -> Path:
    spec = find_spec("recbole")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent
