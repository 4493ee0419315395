"""Graphs: one sparse operator class, products, propagation."""

from gcl.graph.adjacency import Adjacency
from gcl.graph.propagation import propagate, sddmm, spmm

__all__ = ["Adjacency", "propagate", "sddmm", "spmm"]
