"""Graphs: one sparse operator class, products, propagation, graphs of neighbours."""

from gcl.graph.adjacency import Adjacency
from gcl.graph.lookup import look_up
from gcl.graph.mixture import mixed
from gcl.graph.neighbours import cooccurrence_graph, knn_graph
from gcl.graph.propagation import propagate, sddmm, spmm

__all__ = ["Adjacency", "cooccurrence_graph", "knn_graph", "look_up", "mixed", "propagate", "sddmm", "spmm"]
