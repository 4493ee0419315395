"""Tables become tensors once: interactions, splits, data sets, batches."""

from gcl.data.batch import Batch, Pairs, Query, Sampling, Sequences, Users
from gcl.data.dataset import Dataset, Modality
from gcl.data.interactions import CSR, Interactions, TrainInteractions
from gcl.data.loader import Loader, loader
from gcl.data.query import query
from gcl.data.split import Split

__all__ = [
    "CSR", "Batch", "Dataset", "Interactions", "Loader", "Modality", "Pairs", "Query", "Sampling", "Sequences", "Split",
    "TrainInteractions", "Users", "loader", "query",
]
