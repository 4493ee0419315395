"""What there is, for people to read: models, objectives and views with their arguments, references and summaries."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gcl import build
from gcl.arguments import Recorded
from gcl.signatures import REQUIRED, parameters

if TYPE_CHECKING:
    from gcl.views import View


def models(names: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Models, all of gcl's by default: name, family, reference, arguments (name -> default), summary."""
    classes = {name: build.model_class(name) for name in (build.MODELS if names is None else names)}
    return [{"name": n, "family": build.family(n), **_describe(c, c.reference)} for n, c in classes.items()]


def objectives(names: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Objectives, all of gcl's by default: name, kind, reference, arguments (name -> default), summary."""
    from gcl.losses import catalogue

    classes = catalogue() if names is None else {name: build.objective_class(name) for name in names}
    return [{"name": n, "kind": c.kind, **_describe(c, getattr(c, "reference", ""))} for n, c in classes.items()]


def views(names: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Views, all of gcl's by default: name, kind (of what it is a view), on, reference, arguments, summary.

    ``on``, what it acts on: ``steps`` of propagation over an Adjacency, ``data`` of torch_geometric, ``sequences``.
    """
    classes = {name: build.view_class(name) for name in (build.VIEWS if names is None else names)}
    return [
        {"name": n, "kind": c.level, "on": _acts_on(c), **_describe(c, build.VIEWS.get(n, ("", ""))[1])}
        for n, c in classes.items()
    ]


def _acts_on(cls: "type[View]") -> list[str]:
    from gcl.views import DataView, GraphView, SequenceView

    levels: dict[str, type[View]] = {"steps": GraphView, "data": DataView, "sequences": SequenceView}
    return [name for name, level in levels.items() if issubclass(cls, level)]


def _describe(cls: type[Recorded], reference: str) -> dict[str, Any]:
    known = parameters(cls)
    arguments = {n: None if default is REQUIRED else build.plain(default, n) for n, (_, default) in known.items()}
    return {"reference": reference, "arguments": arguments, "summary": summary(cls)}


def summary(cls: type) -> str:
    """The first sentence of a docstring, without its markup."""
    first = " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())
    return readable(first.partition(". ")[0].rstrip(".")) + "."


def readable(text: str) -> str:
    """A docstring without its markup: names stand alone."""
    return re.sub(r"(?::\w+(?::\w+)?:)?`+~?([^`]+)`+", r"\1", text)
