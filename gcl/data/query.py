"""What an evaluator asks a scorer: users and their histories."""

from typing import Literal

import torch
from torch import Tensor

from gcl.data.batch import Query
from gcl.data.dataset import Dataset
from gcl.data.sequences import windows
from gcl.errors import InputError


def query(data: Dataset, users: Tensor, part: Literal["valid", "test"]) -> Query:
    """Users and their histories for ranking a part: train for ``valid``, train and valid for ``test``.

    Shapes: ``users`` [B] internal ids; the query's ``history`` [B, T] in order of time, the longest history being T
    (at least 1), padded on the right with 0 beyond ``length`` [B]. Without time the order is that of rows.

    Raises:
        InputError: for another part, or an id that is not a user's.
    """
    if part not in ("valid", "test"):
        raise InputError(f"part must be 'valid' or 'test', got {part!r}.")
    if users.numel() and (int(users.min()) < 0 or int(users.max()) >= data.num_users):
        raise InputError(f"users must lie in [0, {data.num_users}), got {int(users.min())} .. {int(users.max())}.")
    known = data.train if part == "valid" else data.split.seen
    users = users.to(known.user.device, torch.int64)
    length = known.history.counts[users]
    width = max(1, int(length.max())) if users.numel() else 1
    return Query(users, windows(known.history, known.history.indptr[users + 1] - 1, length, width), length)
