"""Views: how a second look at the same thing is made."""

from gcl.views.adaptive import AdaptiveDropEdge, AdaptiveMaskFeature
from gcl.views.added import AddEdge
from gcl.views.adversarial import AdversarialNoise
from gcl.views.base import DataView, Edges, GraphView, Level, Linear, Step, View, augment, chain
from gcl.views.choice import Identity, RandomChoice, Transform
from gcl.views.diffusion import PPR, Heat
from gcl.views.edges import DropEdge, DropNode, RandomWalk
from gcl.views.entries import Views, allocate, one_view, two_views, view_terms
from gcl.views.feature_gates import FeatureGates
from gcl.views.features import DropFeature, MaskFeature, ShuffleFeature
from gcl.views.gates import EdgeGates
from gcl.views.generators import EdgeDenoiser, EdgeVAE
from gcl.views.hypergraph import Hypergraph
from gcl.views.intents import Intents
from gcl.views.masks import EdgeMask
from gcl.views.modulus import ModulusNoise
from gcl.views.noise import Noise
from gcl.views.sequence import Crop, Insert, Mask, Reorder, SequenceView, Substitute
from gcl.views.subgraph import Subgraph
from gcl.views.svd import SVD

__all__ = [
    "PPR",
    "SVD",
    "AdaptiveDropEdge",
    "AdaptiveMaskFeature",
    "AddEdge",
    "AdversarialNoise",
    "Crop",
    "DataView",
    "DropEdge",
    "DropFeature",
    "DropNode",
    "EdgeDenoiser",
    "EdgeGates",
    "EdgeMask",
    "EdgeVAE",
    "Edges",
    "FeatureGates",
    "GraphView",
    "Heat",
    "Hypergraph",
    "Identity",
    "Insert",
    "Intents",
    "Level",
    "Linear",
    "Mask",
    "MaskFeature",
    "ModulusNoise",
    "Noise",
    "RandomChoice",
    "RandomWalk",
    "Reorder",
    "SequenceView",
    "ShuffleFeature",
    "Step",
    "Subgraph",
    "Substitute",
    "Transform",
    "View",
    "Views",
    "allocate",
    "augment",
    "chain",
    "one_view",
    "two_views",
    "view_terms",
]
