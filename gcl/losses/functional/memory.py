"""Candidates that a memory holds."""

import torch
from torch import Tensor

from gcl.losses.functional.partition import log_partition, tile_rows


def queue_partition(x: Tensor, memory: Tensor, memory_ids: Tensor | None, ids: Tensor | None) -> Tensor:
    """log Σ_c exp(<x_i, c>) over rows of a memory [K, d] that have another id than row i, [B]."""
    memory = memory.to(x.dtype)
    if ids is None or memory_ids is None:
        return log_partition(x, memory, keep="all")[0]
    return log_partition(x, memory, row_ids=ids, column_ids=memory_ids)[0]


@torch.no_grad()
def closest(x: Tensor, memory: Tensor, count: int) -> Tensor:
    """Places [B, count] of the rows of a memory [K, d] with the largest inner products with x, the largest first."""
    step = tile_rows(len(memory), x.device)
    parts = [(x[s : s + step] @ memory.T.to(x.dtype)).topk(count, dim=1).indices for s in range(0, len(x), step)]
    return torch.cat(parts) if parts else torch.zeros(0, count, dtype=torch.long, device=x.device)


def nearest(x: Tensor, memory: Tensor) -> Tensor:
    """Place of the closest row of a memory, [B]."""
    return closest(x, memory, 1)[:, 0]
