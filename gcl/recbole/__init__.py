"""The bridge to RecBole, both ways: its models on gcl's split and evaluator, gcl's models in its trainer, its data.

Every general and sequential model of RecBole is a recommender here under its own name: ``gcl.recbole.ItemKNN``.
Importing this package makes the repairs that RecBole needs beside today's packages (:mod:`gcl.recbole.compat`); RecBole
itself is imported when it is first used.
"""

from typing import Any

from gcl.recbole import compat

compat.require()
compat.apply()

from gcl.recbole.baseline import Baseline, baseline  # noqa: E402
from gcl.recbole.bridge import as_recbole  # noqa: E402
from gcl.recbole.fitting import fit, fit_resolved, resolved  # noqa: E402
from gcl.recbole.names import supported  # noqa: E402
from gcl.recbole.source import load  # noqa: E402

__all__ = ["Baseline", "as_recbole", "baseline", "compat", "fit", "fit_resolved", "load", "resolved", "supported"]


def __getattr__(name: str) -> Any:
    from gcl.recbole import names
    from gcl.recbole.baseline import model

    if name in names.catalogue():
        return model(name)
    raise AttributeError(f"module 'gcl.recbole' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *supported()])
