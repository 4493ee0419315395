"""Views: how a second look at the same thing is made."""

from gcl.views.base import GraphView, Level, Linear, Step, View, chain
from gcl.views.edges import DropEdge, DropNode, RandomWalk
from gcl.views.entries import Views, two_views
from gcl.views.noise import Noise

__all__ = [
    "DropEdge",
    "DropNode",
    "GraphView",
    "Level",
    "Linear",
    "Noise",
    "RandomWalk",
    "Step",
    "View",
    "Views",
    "chain",
    "two_views",
]
