"""Views of sequences: part of them hidden, cut, moved, or exchanged for what goes along with it."""

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from gcl.data import TrainInteractions
from gcl.views.base import View

MASKED = -1
"""What stands in a sequence for an item that a view has hidden."""
Looks = tuple[Tensor, Tensor]
"""Items [B, T], padded on the right with 0, and length [B]."""


class SequenceView(View):
    """A view of sequences, ``(items [B, T], length [B]) -> (items, length)``; what it is given is not changed.

    Sequences of one item stay as they are under views that hide, cut and move. ``ratio`` is a share of a length.
    """

    level = "sequence"

    def __init__(self, ratio: float) -> None:
        super().__init__()
        if not 0 <= ratio <= 1:
            raise ValueError(f"ratio must lie in [0, 1], got {ratio}.")
        self.ratio = ratio

    def allocate(self, train: TrainInteractions) -> None:
        """Make what depends on the training part; called once, by the owner."""

    @abstractmethod
    def forward(self, items: Tensor, length: Tensor, generator: torch.Generator | None = None) -> Looks:
        """Items and length of the view."""

    def part(self, length: Tensor) -> Tensor:
        """floor(ratio n), [B]."""
        return (self.ratio * length + 1e-6).long()

    def block(self, length: Tensor, size: Tensor, generator: torch.Generator | None) -> Tensor:
        """Uniform beginnings of blocks of ``size`` within ``length``, [B]."""
        room = length - size + 1
        return torch.minimum((draw(length.shape, length.device, generator) * room).long(), room - 1)


class Crop(SequenceView):
    """A contiguous block of max(1, floor(ratio n)) items from a uniform beginning. CL4SRec (Xie et al., ICDE 2022)."""

    def __init__(self, ratio: float = 0.6) -> None:
        super().__init__(ratio)

    def forward(self, items: Tensor, length: Tensor, generator: torch.Generator | None = None) -> Looks:
        """Items and length of the block."""
        keep = torch.minimum(self.part(length).clamp_min(1), length)
        place = torch.arange(items.shape[1], device=items.device)
        source = (self.block(length, keep, generator)[:, None] + place).clamp(max=items.shape[1] - 1)
        return items.gather(1, source).masked_fill(place >= keep[:, None], 0), keep


class Mask(SequenceView):
    """floor(ratio n) items, chosen uniformly, become the token of masked items. CL4SRec (Xie et al., ICDE 2022)."""

    def __init__(self, ratio: float = 0.3) -> None:
        super().__init__(ratio)

    def forward(self, items: Tensor, length: Tensor, generator: torch.Generator | None = None) -> Looks:
        """Items with some at :data:`MASKED`, and the length as it was."""
        count = torch.where(length > 1, self.part(length), 0)
        return items.masked_fill(chosen(items, length, count, generator), MASKED), length


class Reorder(SequenceView):
    """A contiguous block of floor(ratio n) items is shuffled. CL4SRec (Xie et al., ICDE 2022)."""

    def __init__(self, ratio: float = 0.6) -> None:
        super().__init__(ratio)

    def forward(self, items: Tensor, length: Tensor, generator: torch.Generator | None = None) -> Looks:
        """Items in another order, and the length as it was."""
        size = self.part(length)
        first = self.block(length, size, generator)[:, None]
        place = torch.arange(items.shape[1], device=items.device).expand_as(items)
        inside = (place >= first) & (place < first + size[:, None])
        key = torch.where(inside, first + draw(items.shape, items.device, generator) * size[:, None], place.double())
        return items.gather(1, torch.argsort(key, dim=1, stable=True)), length


class _Informed(SequenceView):
    """Base of views that know which item goes most along with each; one alone goes with itself.

    c_ij = Σ_u 1 / log(1 + n_u) over users with both, divided by sqrt(N_i N_j) (ItemCF-IUF), from train alone.
    """

    similar: Tensor

    def allocate(self, train: TrainInteractions) -> None:
        """The most similar item of every item, [num_items]."""
        self.register_buffer("similar", most_similar(train), persistent=False)

    def partner(self, items: Tensor) -> Tensor:
        """The items most similar to ``items``; masked ones stay masked."""
        return torch.where(items == MASKED, items, self.similar[items.clamp_min(0)])


class Substitute(_Informed):
    """max(1, floor(ratio n)) items become the one most similar to each. CoSeRec (Liu et al., 2021).

    At least one, or short sequences would never change.
    """

    def __init__(self, ratio: float = 0.1) -> None:
        super().__init__(ratio)

    def forward(self, items: Tensor, length: Tensor, generator: torch.Generator | None = None) -> Looks:
        """Items, some exchanged, and the length as it was."""
        hit = chosen(items, length, self.part(length).clamp_min(1), generator)
        return torch.where(hit, self.partner(items), items), length


class Insert(_Informed):
    """Before max(1, floor(ratio n)) items stands the one most similar to each. CoSeRec (Liu et al., 2021).

    Sequences grow; an encoder reads the latest items up to its limit.
    """

    def __init__(self, ratio: float = 0.4) -> None:
        super().__init__(ratio)

    def forward(self, items: Tensor, length: Tensor, generator: torch.Generator | None = None) -> Looks:
        """Longer sequences, and their length."""
        hit = chosen(items, length, self.part(length).clamp_min(1), generator)
        added = hit.sum(1)
        grown = items.new_zeros(len(items), items.shape[1] + int(added.max()) if len(items) else items.shape[1])
        place = torch.arange(items.shape[1], device=items.device) + hit.cumsum(1)
        grown.scatter_(1, place, items)
        row, column = hit.nonzero(as_tuple=True)
        grown[row, place[row, column] - 1] = self.partner(items[row, column])
        return grown, length + added


def chosen(items: Tensor, length: Tensor, count: Tensor, generator: torch.Generator | None) -> Tensor:
    """``count`` [B] positions of every sequence, uniformly without replacement, [B, T] bool; never padding."""
    key = draw(items.shape, items.device, generator)
    inside = torch.arange(items.shape[1], device=items.device) < length[:, None]
    rank = torch.argsort(torch.argsort(torch.where(inside, key, 2.0), dim=1, stable=True), dim=1)
    return inside & (rank < count[:, None])


def draw(shape: torch.Size, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Uniform numbers in [0, 1), float64."""
    where = device if generator is None else generator.device
    return torch.rand(shape, dtype=torch.float64, generator=generator, device=where).to(device)


def most_similar(train: TrainInteractions) -> Tensor:
    """The item of highest ItemCF-IUF similarity to every item, [num_items]; lower ids win ties, none: itself."""
    from scipy.sparse import csr_matrix, diags

    rows = train.by_user
    counts, popular = rows.counts.cpu().double(), train.by_item.counts.cpu().double()
    shape = (train.num_users, train.num_items)
    values = (1 / torch.log1p(counts.clamp_min(1)).sqrt()).repeat_interleave(rows.counts.cpu())
    scaled = csr_matrix((values.numpy(), rows.indices.cpu().numpy(), rows.indptr.cpu().numpy()), shape)
    scaled = scaled @ diags(popular.clamp_min(1).rsqrt().numpy())
    product = (scaled.T @ scaled).tocsr()
    product.setdiag(0)
    product.sort_indices()
    best = torch.from_numpy(np.asarray(product.argmax(axis=1))).flatten().long()
    none = torch.from_numpy(product.max(axis=1).toarray().ravel() <= 0)
    return torch.where(none, torch.arange(len(best)), best).to(train.user.device)
