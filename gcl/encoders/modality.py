"""Features of items inside a model: a table of one modality and its projection."""

import torch
from torch import Tensor, nn

from gcl.data import Modality
from gcl.graph import look_up


class Features(nn.Module):
    """The rows of one modality as a model reads them, float32 [num_items, w]; rows of items that lack it are 0.

    Held as a non-persistent buffer (a model is rebuilt with its data set), or with ``finetune`` as a parameter that
    starts from the features, as many methods' published code has it: a float32 copy, trained and stored.

    ``present`` [num_items] bool says who has the modality; :meth:`hide` takes it from everybody.
    """

    values: Tensor
    present: Tensor

    def __init__(self, modality: Modality, finetune: bool = False) -> None:
        super().__init__()
        rows = (~modality.present).nonzero().flatten()
        clean = not bool((modality.values.index_select(0, rows) != 0).any())  # then a mapped file stays on disk
        values = modality.values if clean else modality.values.index_fill(0, rows, 0)
        if finetune:
            self.values = nn.Parameter(values.float().clone())
        else:
            self.register_buffer("values", values, persistent=False)
        self.register_buffer("present", modality.present.clone(), persistent=False)

    @property
    def dim(self) -> int:
        """Width w of the features."""
        return self.values.shape[1]

    def forward(self, items: Tensor | None = None) -> Tensor:
        """Rows of ``items`` [n], of all without, [n, w]."""
        return self.values.float() if items is None else look_up(self.values, items).float()

    def has(self, items: Tensor | None = None) -> Tensor:
        """Who of ``items`` [n] has the modality, as a column of 0 and 1, [n, 1]."""
        present = self.present if items is None else self.present.index_select(0, items)
        return present[:, None].float()

    def hide(self) -> None:
        """From now on nobody has the modality."""
        self.present.fill_(False)


class Projection(nn.Module):
    """W f + b of one modality [n, d]; 0 for items that lack it, so that what is missing says nothing.

    With ``reduce`` r the features go through a layer of width ceil(w / r) first, without a non-linearity between
    (MambaRec's image branch). Only the rows that are asked for are projected. Weights begin as ``nn.Linear`` has
    them, or with ``xavier`` normal as BM3 has them.

    Args:
        modality: the features.
        dim: width d.
        finetune: train the features, too.
        reduce: factor of the first layer; 1 is none.
        xavier: Xavier-normal weights.
    """

    def __init__(
        self, modality: Modality, dim: int, *, finetune: bool = False, reduce: int = 1, xavier: bool = False
    ) -> None:
        super().__init__()
        if dim < 1 or reduce < 1:
            raise ValueError(f"dim and reduce must be at least 1, got {dim} and {reduce}.")
        self.features = Features(modality, finetune)
        width = -(-modality.dim // reduce)
        self.narrow = nn.Linear(modality.dim, width) if reduce > 1 else nn.Identity()
        self.linear = nn.Linear(width, dim)
        if xavier:
            for layer in (self.narrow, self.linear):
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_normal_(layer.weight)

    def forward(self, items: Tensor | None = None) -> Tensor:
        """Projected rows of ``items`` [n], of all without, [n, d]."""
        return self.raw(items) * self.features.has(items)

    def raw(self, items: Tensor | None = None) -> Tensor:
        """The same without setting rows of items that lack the modality to 0."""
        out: Tensor = self.linear(self.narrow(self.features(items)))
        return out


def missing_rows_left_out(block: nn.Module, x: Tensor, present: Tensor) -> Tensor:
    """``block`` of the rows that are present, zeros elsewhere, [n, d]: for blocks whose rows are not independent."""
    if bool(present.all()):
        out: Tensor = block(x)
        return out
    rows = present.nonzero().flatten()
    if not rows.numel():
        return torch.zeros_like(x)
    kept: Tensor = block(look_up(x, rows))
    return torch.zeros(len(x), kept.shape[1], dtype=kept.dtype, device=x.device).index_copy(0, rows, kept)
