"""Encoders: what turns ids, graphs, sequences and features into representations."""

from gcl.encoders.dream import DREAM
from gcl.encoders.fusion import AttentionFusion, BehaviourFusion
from gcl.encoders.gru import GRUEncoder
from gcl.encoders.lightgcn import LightGCNEncoder
from gcl.encoders.modality import Features, Projection
from gcl.encoders.readout import Readout, read
from gcl.encoders.sequence import SequenceEncoder
from gcl.encoders.transformer import TransformerEncoder

__all__ = [
    "DREAM",
    "AttentionFusion",
    "BehaviourFusion",
    "Features",
    "GRUEncoder",
    "LightGCNEncoder",
    "Projection",
    "Readout",
    "SequenceEncoder",
    "TransformerEncoder",
    "read",
]
