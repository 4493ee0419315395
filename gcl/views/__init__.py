"""Views: how a second look at the same thing is made."""

from gcl.views.adversarial import AdversarialNoise
from gcl.views.base import GraphView, Level, Linear, Step, View, chain
from gcl.views.edges import DropEdge, DropNode, RandomWalk
from gcl.views.entries import Views, allocate, one_view, two_views
from gcl.views.gates import EdgeGates
from gcl.views.hypergraph import Hypergraph
from gcl.views.intents import Intents
from gcl.views.masks import EdgeMask
from gcl.views.modulus import ModulusNoise
from gcl.views.noise import Noise
from gcl.views.sequence import Crop, Insert, Mask, Reorder, SequenceView, Substitute
from gcl.views.svd import SVD

__all__ = [
    "SVD",
    "AdversarialNoise",
    "Crop",
    "DropEdge",
    "DropNode",
    "EdgeGates",
    "EdgeMask",
    "GraphView",
    "Hypergraph",
    "Insert",
    "Intents",
    "Level",
    "Linear",
    "Mask",
    "ModulusNoise",
    "Noise",
    "RandomWalk",
    "Reorder",
    "SequenceView",
    "Step",
    "Substitute",
    "View",
    "Views",
    "allocate",
    "chain",
    "one_view",
    "two_views",
]
