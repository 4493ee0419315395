"""Sizes of the data sets of graphs, straight from their files."""

from pathlib import Path
from typing import Any

import numpy as np

from gcl.data.cards import Card
from gcl.errors import InputError


def network_counts(card: Card, folder: Path) -> dict[str, int]:
    """Graphs, nodes, arcs (both directions, without loops), features and classes of a data set of graphs.

    Raises:
        InputError: files that cannot be read.
    """
    files = {role: folder / file.path for role, file in card.files.items()}
    try:
        return _collection(files) if card.format == "tu" else _single(files["graph"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"Cannot read the graphs of {card.name} in {folder}: {error}.") from error


def _single(path: Path) -> dict[str, int]:
    """One graph in an npz of CSR members."""
    from scipy import sparse

    with np.load(path, allow_pickle=False) as members:
        shape = tuple(members["adj_shape"])
        links: Any = sparse.csr_matrix((members["adj_data"], members["adj_indices"], members["adj_indptr"]), shape)
        labels = members["labels"]
        features = int(members["attr_shape"][1])
    links = ((links + links.T) != 0).tolil()
    links.setdiag(False)
    classes = len(np.unique(labels[labels >= 0]))
    return {"graphs": 1, "nodes": shape[0], "arcs": links.nnz, "features": features, "classes": classes}


def _collection(files: dict[str, Path]) -> dict[str, int]:
    """Many graphs in TU text; features are the node tags."""
    indicator = _column(files["indicator"])
    counts = {
        "graphs": len(np.unique(indicator)),
        "nodes": len(indicator),
        "arcs": len(files["arcs"].read_text().split("\n")) - 1,
        "classes": len(np.unique(_column(files["labels"]))),
    }
    return counts | ({"features": len(np.unique(_column(files["tags"])))} if "tags" in files else {})


def _column(path: Path) -> np.ndarray:
    return np.array(path.read_text().split(), dtype=np.int64)
