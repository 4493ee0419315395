"""Batches of an epoch: slices of one permutation, on the device, without Python per sample."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from gcl.data.batch import Batch, Pairs, Sampling, Sequences, Users
from gcl.data.dataset import Dataset
from gcl.data.interactions import TrainInteractions
from gcl.data.negatives import KnownRankMap, Popular, RankMap
from gcl.data.sequences import SequenceRows
from gcl.errors import InputError


class Loader(ABC):
    """Batches of train, an epoch at a time. ``len(loader)`` is the number of batches an epoch; the last may be smaller.

    All randomness of an epoch is drawn when :meth:`epoch` is called, none as its batches are taken: an epoch that
    was cut at batch b continues from the generators' states at its beginning with ``epoch(b)``.
    """

    def __init__(self, rows: int, batch_size: int) -> None:
        self.rows, self.batch_size = rows, batch_size

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return self.epoch()

    def epoch(self, start: int = 0) -> Iterator[Batch]:
        """Draw a new epoch and give its batches from ``start`` on."""
        if not 0 <= start <= len(self):
            raise ValueError(f"start must lie in [0, {len(self)}], got {start}.")
        return self._draw(start)

    @abstractmethod
    def _draw(self, start: int) -> Iterator[Batch]:
        """Draw a new epoch and give its batches from ``start`` on."""

    def _slices(self, start: int) -> Iterator[slice]:
        size = self.batch_size
        return (slice(b * size, (b + 1) * size) for b in range(start, len(self)))


class PairLoader(Loader):
    """Every train interaction once an epoch, with negatives; see :class:`gcl.data.Pairs`.

    Negatives are drawn in the order of users and permuted with the rows: neighbouring draws then search neighbouring
    keys, which takes a third of the time.
    """

    def __init__(
        self,
        train: TrainInteractions,
        sampling: Pairs,
        batch_size: int,
        generator: torch.Generator,
        negatives: torch.Generator,
    ) -> None:
        super().__init__(len(train), batch_size)
        if sampling.negatives < 0:
            raise InputError(f"negatives must be at least 0, got {sampling.negatives}.")
        if not sampling.popularity >= 0:
            raise InputError(f"popularity must be at least 0, got {sampling.popularity}.")
        self.count, self.generators = sampling.negatives, (generator, negatives)
        users = torch.arange(train.num_users, device=train.user.device)
        self.users, self.items = torch.repeat_interleave(users, train.by_user.counts), train.by_user.indices
        self.source: RankMap | KnownRankMap | Popular | None = None
        if sampling.negatives and sampling.popularity:  # cold items have no weight there
            self.source = Popular(train, sampling.popularity)
        elif sampling.negatives:
            self.source = KnownRankMap(train) if sampling.known else RankMap(train)

    def _draw(self, start: int) -> Iterator[Batch]:
        order = _permutation(self.rows, self.generators[0], self.users.device)
        users, items = self.users[order], self.items[order]
        negatives = self.source.draw(self.users, self.count, self.generators[1])[order] if self.source else None
        return (
            Batch(users[rows], items[rows], None if negatives is None else negatives[rows])
            for rows in self._slices(start)
        )


class UserLoader(Loader):
    """Every user with a train row once an epoch; see :class:`gcl.data.Users`."""

    def __init__(self, train: TrainInteractions, batch_size: int, generator: torch.Generator) -> None:
        self.csr = train.by_user
        self.users = self.csr.counts.nonzero().flatten()
        self.generator = generator
        super().__init__(len(self.users), batch_size)

    def _draw(self, start: int) -> Iterator[Batch]:
        order = self.users[_permutation(self.rows, self.generator, self.users.device)]
        return (self._batch(order[rows]) for rows in self._slices(start))

    def _batch(self, users: Tensor) -> Batch:
        return Batch(users, self.csr.take(users)[1], length=self.csr.counts[users])


class SequenceLoader(Loader):
    """Train sequences, bucketed by length; see :class:`gcl.data.Sequences`."""

    def __init__(self, data: Dataset, sampling: Sequences, batch_size: int, generator: torch.Generator) -> None:
        if not data.ordered:
            raise InputError(
                f"sequences need the order of interactions, and {data.name!r} has no time column; choose a data set "
                "with one, or set data.ordered=true if the rows of each user stand in time order."
            )
        self.sequences, self.generator = SequenceRows(data.train.history, sampling), generator
        super().__init__(len(self.sequences), batch_size)

    def _draw(self, start: int) -> Iterator[Batch]:
        return self.sequences.batches(self.batch_size, self.generator, start)


def loader(
    data: Dataset,
    sampling: Sampling,
    batch_size: int,
    generator: torch.Generator,
    *,
    negatives: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Loader:
    """Batches of ``data.train`` as ``sampling`` says, at most ``batch_size`` rows each.

    Args:
        data: the data set; only its training part is read.
        sampling: :class:`Pairs`, :class:`Users` or :class:`Sequences`.
        batch_size: rows of a batch, at least 1.
        generator: draws the order of rows.
        negatives: draws the negatives of :class:`Pairs`; by default ``generator`` does.
        device: where batches lie; by default where the data set does.

    Raises:
        InputError: where ``sampling`` or ``batch_size`` cannot be, train is empty, a user has every item in train and
            negatives are asked for, or sequences are asked for without time.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}.")
    if not len(data.train):
        raise InputError(f"train of {data.name!r} has no interactions to make batches of.")
    if device is not None and torch.device(device) != data.train.user.device:
        data = data.to(device)
    if isinstance(sampling, Sequences):
        return SequenceLoader(data, sampling, batch_size, generator)
    if isinstance(sampling, Users):
        return UserLoader(data.train, batch_size, generator)
    return PairLoader(data.train, sampling, batch_size, generator, negatives or generator)


def _permutation(size: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.randperm(size, generator=generator, device=generator.device).to(device)
