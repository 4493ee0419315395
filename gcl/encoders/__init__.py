"""Encoders: what turns ids, graphs, sequences and features into representations."""

from gcl.encoders.lightgcn import LightGCNEncoder
from gcl.encoders.readout import Readout, read

__all__ = ["LightGCNEncoder", "Readout", "read"]
