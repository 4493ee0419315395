"""Names and mappings become objects: the only place that resolves models, objectives, views and import paths.

A specification is a name (``"DCL"``), a mapping (``{"name": "DCL", "temperature": 0.3}``), an import path
(``"mypkg.mod:MyLoss"``, alone or as the name of a mapping) or the instance itself.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from gcl.arguments import Recorded
from gcl.errors import InputError, nearest
from gcl.signatures import REQUIRED, Converter, check, parameters

if TYPE_CHECKING:
    from gcl.data import Dataset
    from gcl.losses import Objective
    from gcl.recommenders import Recommender
    from gcl.views import View

T = TypeVar("T", bound=Recorded)


class _Slot(NamedTuple):
    """A slot of objectives: the annotation of what it takes, its names, and what finds the part of a value."""

    annotation: Any
    table: Mapping[str, Callable[..., Recorded]]
    find: Callable[[Any], Recorded]

    def check(self, value: Any) -> Any:
        """The value itself once it is known to be a part; an import path becomes the instance."""
        if isinstance(value, bool):
            raise InputError(f"A part must be a number, a name, a mapping with a name or an instance, got {value!r}.")
        if isinstance(value, str) and ":" in value:
            value = {"name": value}
        if isinstance(value, Mapping) and isinstance(name := value.get("name"), str):
            arguments = {key: item for key, item in value.items() if key != "name"}
            if isinstance(self.table.get(name), type):
                _construct(self.table[name], name, arguments)
            if ":" in name:
                value = _construct(_import(name, "part"), name, arguments)
        self.find(value)
        return value


_FAMILIES: dict[str, tuple[str, ...]] = {
    "general": (
        *("Popularity", "EASE", "BPRMF", "LightGCN", "DirectAU"),
        *("Contrastive", "SGL", "SimGCL", "XSimGCL", "LightGCL", "DCCF", "HCCF", "NCL", "AdaGCL"),
    ),
    "multimodal": ("VBPR", "FREEDOM", "BM3", "MGCN", "MambaRec", "SIGER"),
    "sequential": ("SASRec", "GRU4Rec", "CL4SRec", "DuoRec", "MCLRec", "ICLRec"),
}
MODELS: dict[str, str] = {
    name: f"gcl.recommenders.{family}.{name.lower()}:{name}" for family, names in _FAMILIES.items() for name in names
}
"""Name -> where it is; the folder under ``gcl.recommenders`` is the model's family."""

VIEWS: dict[str, tuple[str, str]] = {
    "DropEdge": ("gcl.views.edges:DropEdge", "Wu et al., SIGIR 2021"),
    "DropNode": ("gcl.views.edges:DropNode", "Wu et al., SIGIR 2021"),
    "RandomWalk": ("gcl.views.edges:RandomWalk", "Wu et al., SIGIR 2021"),
    "Noise": ("gcl.views.noise:Noise", "Yu et al., SIGIR 2022"),
    "ModulusNoise": ("gcl.views.modulus:ModulusNoise", "Zhang et al., 2025"),
    "AdversarialNoise": ("gcl.views.adversarial:AdversarialNoise", "after Goodfellow et al., ICLR 2015"),
    "SVD": ("gcl.views.svd:SVD", "Cai et al., ICLR 2023"),
    "EdgeMask": ("gcl.views.masks:EdgeMask", "Ren et al., SIGIR 2023"),
    "EdgeDenoiser": ("gcl.views.generators:EdgeDenoiser", "Jiang et al., KDD 2023"),
    "EdgeVAE": ("gcl.views.generators:EdgeVAE", "Jiang et al., KDD 2023"),
    "EdgeGates": ("gcl.views.gates:EdgeGates", "Suresh et al., NeurIPS 2021"),
    "FeatureGates": ("gcl.views.feature_gates:FeatureGates", "after Zhu et al., GRACE, 2020"),
    "Intents": ("gcl.views.intents:Intents", "Ren et al., SIGIR 2023"),
    "Hypergraph": ("gcl.views.hypergraph:Hypergraph", "Xia et al., SIGIR 2022"),
    "AddEdge": ("gcl.views.added:AddEdge", "You et al., NeurIPS 2020"),
    "Subgraph": ("gcl.views.subgraph:Subgraph", "Qiu et al., KDD 2020"),
    "PPR": ("gcl.views.diffusion:PPR", "Gasteiger et al., NeurIPS 2019"),
    "Heat": ("gcl.views.diffusion:Heat", "Gasteiger et al., NeurIPS 2019"),
    "AdaptiveDropEdge": ("gcl.views.adaptive:AdaptiveDropEdge", "Zhu et al., WWW 2021"),
    "AdaptiveMaskFeature": ("gcl.views.adaptive:AdaptiveMaskFeature", "Zhu et al., WWW 2021"),
    "MaskFeature": ("gcl.views.features:MaskFeature", "Zhu et al., GRACE, 2020"),
    "DropFeature": ("gcl.views.features:DropFeature", "Srivastava et al., JMLR 2014"),
    "ShuffleFeature": ("gcl.views.features:ShuffleFeature", "Veličković et al., ICLR 2019"),
    "Identity": ("gcl.views.choice:Identity", ""),
    "RandomChoice": ("gcl.views.choice:RandomChoice", "You et al., NeurIPS 2020"),
    "Transform": ("gcl.views.choice:Transform", "Fey & Lenssen, 2019"),
    **{name: (f"gcl.views.sequence:{name}", "Xie et al., ICDE 2022") for name in ("Crop", "Mask", "Reorder")},
    **{name: (f"gcl.views.sequence:{name}", "Liu et al., CoSeRec, 2021") for name in ("Substitute", "Insert")},
}
"""Name -> where it is and its reference."""


METHODS: dict[str, str] = {
    name: f"gcl.ssl:{name}"
    for name in ("DGI", "GRACE", "GCA", "BGRL", "GBT", "CCASSG", "InfoGraph", "GraphCL", "ADGCL", "Contrast")
}
"""Methods of graph SSL: name -> where it is."""


ENCODERS = {"GCN": "gcl.encoders.gnn:GCN", "GIN": "gcl.encoders.gnn:GIN"}
"""Encoders of graphs: name -> where it is."""


def method_class(name: str) -> Any:
    """The class of graph SSL of a name or an import path.

    It is called ``Method(encoder, *, ...)`` and has ``level``, ``phases``, ``embed`` and ``after_step``, and mostly
    ``default_encoder(in_channels, ...)``; raises as :func:`model_class`.
    """
    if ":" not in name and name not in METHODS:
        raise InputError(f"Unknown method {name!r}. {nearest(name, METHODS)} Or an import path such as mypkg.mod:Mine.")
    cls = _import(METHODS.get(name, name), "method")
    missing = [part for part in ("level", "phases", "embed", "after_step") if not hasattr(cls, part)]
    if not isinstance(cls, type) or missing:
        raise InputError(f"method {name!r} must be a class of graph SSL; it lacks {', '.join(missing) or 'a class'}.")
    return cls


def encoder_class(spec: Any) -> tuple[Any, dict[str, Any]]:
    """The class or function that makes a graph encoder, called with the width of ``x`` first, and its arguments.

    ``spec``: a name, ``GCN`` or ``GIN``, an import path, or a mapping with one and arguments.

    Raises:
        InputError: no such name, or nothing that can be called there.
    """
    spec = {"name": spec} if isinstance(spec, str) else spec
    if not isinstance(spec, Mapping) or not isinstance(name := spec.get("name"), str):
        raise InputError(f"encoder must be a name or a mapping with a name, got {spec!r}.")
    if ":" not in name and name not in ENCODERS:
        path = "torch_geometric.nn:GAT"
        raise InputError(f"Unknown encoder {name!r}. {nearest(name, ENCODERS)} Or an import path such as {path}.")
    made = _import(ENCODERS.get(name, name), "encoder")
    if not callable(made):
        raise InputError(f"encoder {name!r} must be a class or function that makes a module.")
    return made, {key: value for key, value in spec.items() if key != "name"}


def model_class(name: str) -> "type[Recommender]":
    """The recommender class of a name or an import path.

    Raises:
        InputError: no such name (with the nearest), nothing importable there, or no recommender.
    """
    from gcl.recommenders import Recommender

    return _class(name, MODELS, Recommender, "model")


def family(name: str) -> str:
    """``general``, ``sequential`` or ``multimodal``; of a model outside gcl, by what it needs."""
    if name in MODELS:
        return MODELS[name].split(".")[2]
    from gcl.data import Sequences

    cls = model_class(name)
    if "modalities" in cls.needs:
        return "multimodal"
    return "sequential" if "time" in cls.needs or isinstance(cls.sampling, Sequences) else "general"


def objective_class(name: str) -> "type[Objective]":
    """The objective class of a name or an import path; raises as :func:`model_class`."""
    from gcl.losses import Objective

    return _class(name, _objectives(aliases=True), Objective, "objective")


def view_class(name: str) -> "type[View]":
    """The view class of a name or an import path; raises as :func:`model_class`."""
    from gcl.views import View

    return _class(name, _views(), View, "view")


def objective(spec: Any) -> "Objective":
    """The objective of a specification.

    Raises:
        InputError: unknown name or argument (with the nearest), a value of another type or out of range.
    """
    from gcl.losses import Objective

    return spec if isinstance(spec, Objective) else _part(spec, objective_class, "objective")


def view(spec: Any) -> "View":
    """The view of a specification; raises as :func:`objective`."""
    from gcl.views import View

    return spec if isinstance(spec, View) else _part(spec, view_class, "view")


def views(spec: Any) -> "list[list[View]]":
    """Chains of views: one entry a look, an entry being a view or a list of views after one another.

    A single specification that is no list is one entry. Raises as :func:`objective`.
    """
    return [entry if isinstance(entry, list) else [entry] for entry in _entries(spec)]


def _entries(spec: Any) -> "list[View | list[View]]":
    entries = spec if _is_list(spec) else [spec]
    return [[view(v) for v in entry] if _is_list(entry) else view(entry) for entry in entries]


def create(name: str, data: "Dataset", arguments: Mapping[str, Any]) -> "Recommender":
    """The recommender ``name`` for ``data``; arguments are values or specifications, those not given are defaults.

    Raises:
        InputError: unknown name or argument, wrong type or range, an objective of a kind that the model does not take,
            data that lack what the model needs.
    """
    cls = model_class(name)
    checked = check_arguments(name, arguments)
    try:
        return cls(data, **checked)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error


def check_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of model ``name``, validated against its constructor, specifications turned into instances."""
    cls = model_class(name)
    checked = check(cls, arguments, name, converters())
    kinds = getattr(cls, "objective_kinds", ())
    if "objective" in checked and checked["objective"].kind not in kinds:
        fitting = [n for n in _objectives() if objective_class(n).kind in kinds]
        got = checked["objective"]
        raise InputError(
            f"{name}: objective must be of kind {' or '.join(kinds)}, got {name_of(type(got))} of kind {got.kind}. "
            f"Valid: {', '.join(sorted(fitting))}."
        )
    return checked


def converters() -> dict[Any, Converter]:
    """Annotation -> what makes an instance of a specification."""
    from gcl.losses import Objective
    from gcl.views import View, Views

    slots = {slot.annotation: slot.check for slot in _slots()}
    return {Objective: objective, View: view, Views: _entries, **slots}


def spec(obj: Recorded) -> dict[str, Any]:
    """The mapping from which the object can be built again: its name and all its arguments, as YAML has them.

    Raises:
        InputError: the class is local to a function, or an argument is of a type that YAML cannot hold.
    """
    name = name_of(type(obj))
    return {"name": name, **{key: plain(value, f"{name}: {key}") for key, value in obj.arguments.items()}}


def plain(value: Any, where: str) -> Any:
    """The value as YAML has it: parts as specifications, sequences as lists."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Recorded):
        return spec(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v, where) for k, v in value.items()}
    if isinstance(value, (Sequence, set, frozenset)):
        return [plain(v, where) for v in value]
    raise InputError(
        f"{where} cannot be written as configuration: a {type(value).__name__} is no number, text, list, mapping, "
        "objective or view."
    )


def name_of(cls: type) -> str:
    """The short name of a class of gcl, else its import path."""
    path = f"{cls.__module__}:{cls.__qualname__}"
    if cls.__module__.startswith("gcl.ssl") and cls.__name__ in METHODS:
        return cls.__name__
    for table in (MODELS, _views(), _objectives()):
        if table.get(cls.__name__) == path:
            return cls.__name__
    for slot in _slots():
        for name, made in slot.table.items():
            if made is cls:
                return name
    if "<" in path:
        raise InputError(f"{path} cannot be named in configuration; define the class at the top level of a module.")
    return path


def _views() -> dict[str, str]:
    return {name: where for name, (where, _) in VIEWS.items()}


def _objectives(aliases: bool = False) -> dict[str, str]:
    from gcl.losses import catalogue

    return {name: f"{cls.__module__}:{cls.__qualname__}" for name, cls in catalogue(aliases).items()}


def _part(spec: Any, find: Callable[[str], type[T]], what: str) -> T:
    if isinstance(spec, str):
        spec = {"name": spec}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
        raise InputError(f"{what} must be a name, a mapping with a name, or an instance, got {spec!r}.")
    arguments = {key: value for key, value in spec.items() if key != "name"}
    return _construct(find(spec["name"]), spec["name"], arguments)


def _construct(cls: Callable[..., T], name: str, arguments: Mapping[str, Any]) -> T:
    checked = check(cls, arguments, name, converters())
    missing = [n for n, (_, default) in parameters(cls).items() if default is REQUIRED and n not in checked]
    if missing:
        raise InputError(f"{name} needs {', '.join(missing)}; give {{name: {name}, {missing[0]}: ...}}.")
    try:
        return cls(**checked)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error


@cache
def _slots() -> tuple[_Slot, ...]:
    """The replaceable parts that objectives are made of."""
    from gcl.losses.slots import kernels, margins, similarities, temperatures, weightings

    return (
        _Slot(similarities.SimilarityLike, similarities.SIMILARITIES, similarities.similarity_of),
        _Slot(margins.MarginLike, margins.MARGINS, margins.margin_of),
        _Slot(temperatures.TemperatureLike, temperatures.TEMPERATURES, temperatures.temperature_of),
        _Slot(weightings.WeightingLike, weightings.WEIGHTINGS, weightings.weighting_of),
        _Slot(kernels.KernelLike, kernels.KERNELS, kernels.kernel_of),
    )


def _class(name: str, table: Mapping[str, str], base: type, what: str) -> Any:
    if ":" not in name and name not in table:
        path = f"mypkg.mod:My{what.title()}"
        raise InputError(f"Unknown {what} {name!r}. {nearest(name, table)} Or an import path such as {path}.")
    cls = _import(table.get(name, name), what)
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise InputError(f"{what} {name!r} must be a subclass of {base.__module__}.{base.__qualname__}.")
    return cls


def _import(path: str, what: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise InputError(
            f"Cannot import {module!r} of {what} {path!r}: {type(error).__name__}: {error}. An import path is "
            "package.module:Class, importable from the current folder or installed."
        ) from error
    if not hasattr(found, attribute):
        public = [n for n in vars(found) if not n.startswith("_")]
        raise InputError(f"{module} has no {attribute!r}. {nearest(attribute, public)}")
    return getattr(found, attribute)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
