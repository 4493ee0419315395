"""Tables become tensors once: interactions, splits, data sets, batches."""

from gcl.data.atomic import from_atomic
from gcl.data.batch import Batch, Pairs, Query, Sampling, Sequences, Users
from gcl.data.check import check
from gcl.data.convert import convert
from gcl.data.dataset import Dataset
from gcl.data.delimited import from_csv
from gcl.data.fetch import fetch
from gcl.data.graphs import Graphs, load_graphs
from gcl.data.interactions import CSR, Interactions, TrainInteractions
from gcl.data.items import read_items
from gcl.data.leaks import Finding, leaks
from gcl.data.lists import from_lists
from gcl.data.load import load
from gcl.data.loader import Loader, loader
from gcl.data.memory import from_arrays, from_dataframe, from_scipy
from gcl.data.mmrec import from_mmrec
from gcl.data.modalities import with_modalities
from gcl.data.modality import Modalities, Modality
from gcl.data.plan import Plan
from gcl.data.query import query
from gcl.data.share import share
from gcl.data.split import Split
from gcl.data.splits import by_time, cold_items, given, leave_one_out, ratio
from gcl.data.text import encode_text

__all__ = [
    "CSR",
    "Batch",
    "Dataset",
    "Finding",
    "Graphs",
    "Interactions",
    "Loader",
    "Modalities",
    "Modality",
    "Pairs",
    "Plan",
    "Query",
    "Sampling",
    "Sequences",
    "Split",
    "TrainInteractions",
    "Users",
    "by_time",
    "check",
    "cold_items",
    "convert",
    "encode_text",
    "fetch",
    "from_arrays",
    "from_atomic",
    "from_csv",
    "from_dataframe",
    "from_lists",
    "from_mmrec",
    "from_scipy",
    "given",
    "leaks",
    "leave_one_out",
    "load",
    "load_graphs",
    "loader",
    "query",
    "ratio",
    "read_items",
    "share",
    "with_modalities",
]
