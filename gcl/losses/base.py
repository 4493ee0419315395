"""What every objective is: a kind, which fixes how it is called, and a scalar that is a mean over valid rows."""

import copy
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn

from gcl.arguments import Recorded

Kind = Literal["pair", "multiview", "labelled", "ranking", "tuple", "sets"]


class Objective(Recorded, nn.Module):
    """Base of all objectives.

    ``kind`` fixes the call:

    ========== ============================================ =======================================================
    kind       call                                         meaning
    ========== ============================================ =======================================================
    pair       ``(z1 [B, d], z2 [M, d], ids [M] = None)``   row i of z2 is the positive of row i of z1; rows of z2
                                                            beyond B are further negatives; equal ids are the same
                                                            thing and are never each other's negatives
    multiview  ``(views [V, B, d], ids [B] = None)``        V views of the same B things
    labelled   ``(z [B, d], labels [B])``                   rows with equal labels are positives
    ranking    ``(positive [B], negative [B, m])``          scores of what was chosen and of what was not
    tuple      ``(tuple of [B, d])``                        the same B things in several modalities
    sets       ``(x [n, d], y [m, d])``                     two samples, no pairing
    ========== ============================================ =======================================================

    Calling returns a scalar, the mean over valid rows; :meth:`rows` returns the unreduced values.
    """

    kind: ClassVar[Kind]

    def build(self, num_ids: int, dim: int) -> Self:
        """A copy with its state allocated for ``num_ids`` things of width ``dim``; called once by the owner.

        A copy, because an objective may be a default argument: two owners must not share what one of them trains.
        """
        return copy.deepcopy(self)

    def rows(self, *inputs: Any, **options: Any) -> Tensor:
        """Unreduced loss values, one a valid row."""
        raise NotImplementedError

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """Mean of :meth:`rows`."""
        raise NotImplementedError
