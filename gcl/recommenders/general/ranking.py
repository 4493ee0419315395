"""The terms that graph recommenders share: a ranking loss on representations, a penalty on the rows of the table."""

import torch
from torch import Tensor

from gcl.data import Batch, Pairs
from gcl.encoders import LightGCNEncoder
from gcl.errors import InputError
from gcl.losses import Objective
from gcl.losses.regularisation import ego_square


def ranked_pairs(negatives: int) -> Pairs:
    """The sampling of a ranking loss: at least one negative a positive."""
    if negatives < 1:
        raise InputError(f"negatives must be at least 1 for a ranking loss, got {negatives}.")
    return Pairs(negatives)


def ranking_terms(
    encoder: LightGCNEncoder, z: Tensor, batch: Batch, objective: Objective, reg: float
) -> dict[str, Tensor]:
    """Terms ``rank`` = objective(<z_u, z_i>, <z_u, z_j>) and ``reg`` = reg * ½ Σ ||E0_b||² / B over u, i and j."""
    assert batch.negatives is not None, "the model's sampling declares negatives"
    user, item, negative = encoder.rows(z, batch.users, batch.items, batch.negatives)
    ego = encoder.rows(encoder.table, batch.users, batch.items, batch.negatives)
    rank = objective(torch.linalg.vecdot(user, item), torch.linalg.vecdot(negative, user[:, None]))
    return {"rank": rank, "reg": reg * ego_square(*ego)}
