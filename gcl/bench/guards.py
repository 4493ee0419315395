"""A comparison stops where test has leaked into training."""

from pathlib import Path

import torch
from torch import Tensor, nn

from gcl.data import Dataset, cards
from gcl.data.leaks import leaks
from gcl.data.locate import locate
from gcl.errors import InputError, nearest
from gcl.graph import Adjacency


def require_here(name: str) -> None:
    """An error where a data set is not on this machine, before the first run would find out.

    Raises:
        InputError: a card whose files are not here, or a path that is not.
    """
    if name in cards.names():
        locate(cards.find(name))
    elif not Path(name).exists():
        raise InputError(
            f"datasets: {name!r} is no file or folder, nor the name of a card. {nearest(name, cards.names())}"
        )


def require_clean(data: Dataset) -> None:
    """An error that names every leak of a split.

    Raises:
        InputError: a pair in two parts, or test before train under a split by time.
    """
    found = [finding.text for finding in leaks(data) if finding.leak]
    if found:
        raise InputError(f"{data.name!r} leaks from train to test: {' '.join(found)}")


def require_train_graphs(model: nn.Module, data: Dataset) -> None:
    """An error for a graph of users and items that holds a pair which is not in train.

    ``data``: what the model was trained on. Every :class:`gcl.graph.Adjacency` of the model whose nodes are users and
    items, in this order, is looked through, and every one between users and items, either as rows; but where there are
    as many users as items, such a graph cannot be told from one of items alone, and passes.

    Raises:
        InputError: the graph is named by its place in the model, with the number of pairs.
    """
    for name, graph in model.named_modules():
        if not isinstance(graph, Adjacency):
            continue
        user, item = _pairs(graph, data)
        unknown = ~data.train.contains(user, item)
        count = int(unknown.sum())
        if count:
            tested = int(data.test.contains(user[unknown], item[unknown]).sum())
            raise InputError(
                f"the graph {name!r} of {type(model).__name__} holds {count:,} pairs of a user and an item that are "
                f"not in train, {tested:,} of them in test; build it from train alone (Adjacency.bipartite)."
            )


def _pairs(graph: Adjacency, data: Dataset) -> tuple[Tensor, Tensor]:
    """Users and items that the edges of a graph join; none where its nodes are something else."""
    row, col, users = graph.row.long().cpu(), graph.indices.long().cpu(), data.num_users
    whole = users + data.num_items
    if (graph.num_rows, graph.num_cols) == (whole, whole):
        across = (row < users) != (col < users)
        low, high = torch.minimum(row, col)[across], torch.maximum(row, col)[across]
        return low, high - users
    if (graph.num_rows, graph.num_cols) == (users, data.num_items) and users != data.num_items:
        return row, col
    if (graph.num_rows, graph.num_cols) == (data.num_items, users) and users != data.num_items:
        return col, row
    none = torch.zeros(0, dtype=torch.int64)
    return none, none
