"""gcl: contrastive learning on graphs and in recommenders; encoders, views and objectives are separate parts.

``gcl.load``, ``gcl.fit``, ``gcl.evaluate``, ``gcl.load_run``, every model by its name, and the rooms of the package are
found when they are first asked for: importing gcl loads nothing else.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gcl.data import load as load
    from gcl.evaluation import evaluate as evaluate
    from gcl.training import fit as fit
    from gcl.training import load_run as load_run

_FUNCTIONS = {
    "load": "gcl.data",
    "fit": "gcl.training",
    "evaluate": "gcl.evaluation",
    "load_run": "gcl.training",
}
_ROOMS = (
    "build", "config", "data", "diagnostics", "encoders", "errors", "evaluation", "graph", "losses", "recommenders",
    "recbole", "ssl", "testing", "training", "views",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"gcl.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("gcl-rec")
    if not name.startswith("_"):
        from gcl import build

        if name in build.MODELS:
            return build.model_class(name)
    raise AttributeError(f"module 'gcl' has no attribute {name!r}")


def __dir__() -> list[str]:
    from gcl import build

    return sorted([*_FUNCTIONS, *_ROOMS, *build.MODELS, "__version__"])
