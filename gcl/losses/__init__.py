"""Objectives: what a loss compares, and how.

Log-ratio objectives of pairs are choices of slots (:mod:`gcl.losses.slots`) on one pipeline; compose your own with
:class:`Contrast`:

    loss = Contrast(similarity="dot", temperature=0.5, weighting={"name": "hardness", "beta": 0.5}, negatives="both")
    loss(z1, z2)

The mathematics is in :mod:`gcl.losses.functional`: pure functions whose matrices are made tile by tile. Families, a
module each: softmax, soft, sampled, labels, multiview, groups (many positives), adaptive and heads (temperatures),
similarity and tuples (geometry), negatives, mixing, memory and instances (candidates), energies, kernels and sets,
ranking, pointwise, metric and sorting (order), regression, moments, clusters and setfunctions (no negatives), targets
and gated, related, combine and wrap. :func:`catalogue` lists them all.
"""

from typing import Any

from gcl.losses.adaptive import *  # noqa: F403
from gcl.losses.base import Kind as Kind
from gcl.losses.base import Objective as Objective
from gcl.losses.base import Rows as Rows
from gcl.losses.clusters import *  # noqa: F403
from gcl.losses.combine import *  # noqa: F403
from gcl.losses.contrast import Contrast as Contrast
from gcl.losses.contrast import PairPipeline as PairPipeline
from gcl.losses.energies import *  # noqa: F403
from gcl.losses.functional.sampled import catalogue_softmax as catalogue_softmax
from gcl.losses.gated import *  # noqa: F403
from gcl.losses.gradcache import cached_backward as cached_backward
from gcl.losses.groups import *  # noqa: F403
from gcl.losses.heads import *  # noqa: F403
from gcl.losses.instances import *  # noqa: F403
from gcl.losses.kernels import *  # noqa: F403
from gcl.losses.labels import *  # noqa: F403
from gcl.losses.memory import *  # noqa: F403
from gcl.losses.metric import *  # noqa: F403
from gcl.losses.mixing import *  # noqa: F403
from gcl.losses.moments import *  # noqa: F403
from gcl.losses.multiview import *  # noqa: F403
from gcl.losses.negatives import *  # noqa: F403
from gcl.losses.pointwise import *  # noqa: F403
from gcl.losses.ranking import *  # noqa: F403
from gcl.losses.regression import *  # noqa: F403
from gcl.losses.related import *  # noqa: F403
from gcl.losses.sampled import *  # noqa: F403
from gcl.losses.setfunctions import *  # noqa: F403
from gcl.losses.sets import *  # noqa: F403
from gcl.losses.similarity import *  # noqa: F403
from gcl.losses.soft import *  # noqa: F403
from gcl.losses.softmax import *  # noqa: F403
from gcl.losses.sorting import *  # noqa: F403
from gcl.losses.targets import *  # noqa: F403
from gcl.losses.tuples import *  # noqa: F403
from gcl.losses.wrap import *  # noqa: F403


def catalogue(aliases: bool = False) -> dict[str, type[Objective]]:
    """Name -> class of every objective; see :func:`gcl.losses.scan.catalogue`."""
    from gcl.losses.scan import catalogue

    return catalogue(aliases)


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    found = catalogue(aliases=True).get(name)
    if found is None:
        raise AttributeError(f"module 'gcl.losses' has no attribute {name!r}")
    return found
