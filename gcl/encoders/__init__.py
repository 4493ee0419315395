"""Encoders: what turns ids, graphs, sequences and features into representations."""

from gcl.encoders.gru import GRUEncoder
from gcl.encoders.lightgcn import LightGCNEncoder
from gcl.encoders.readout import Readout, read
from gcl.encoders.sequence import SequenceEncoder
from gcl.encoders.transformer import TransformerEncoder

__all__ = ["GRUEncoder", "LightGCNEncoder", "Readout", "SequenceEncoder", "TransformerEncoder", "read"]
