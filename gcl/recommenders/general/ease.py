"""EASE: a linear auto-encoder over items, in closed form."""

import torch
from torch import Tensor

from gcl.data import CSR, Dataset, Query
from gcl.recommenders.base import Phase, Recommender


class EASE(Recommender):
    """Item-item weights W that reconstruct the 0/1 matrix X [U, I] from itself with a zero diagonal.

    W = argmin ||X - X W||_F^2 + l2 ||W||_F^2 subject to diag(W) = 0. With P = (X^T X + l2 I)^-1 the solution is
    W_ij = -P_ij / P_jj for i != j. A known user is scored by the train row, a history by its items: score = x W.
    O(I^3) time and 4 I^2 bytes. Steck, Embarrassingly Shallow Autoencoders for Sparse Data (WWW 2019).

    Args:
        data: what to learn from.
        l2: strength of the penalty, in units of squared counts.
    """

    answers = frozenset({"users", "histories"})
    reference = "Steck, WWW 2019"
    weight: Tensor
    indptr: Tensor
    indices: Tensor

    def __init__(self, data: Dataset, *, l2: float = 250.0) -> None:
        super().__init__(data)
        if l2 <= 0:
            raise ValueError(f"l2 must be positive, or X^T X cannot be inverted, got {l2}.")
        self.l2 = l2
        self.register_buffer("weight", torch.zeros(data.num_items, data.num_items))
        self.register_buffer("indptr", data.train.by_user.indptr.clone())
        self.register_buffer("indices", data.train.by_user.indices.clone())

    def phases(self) -> list[Phase]:
        """None: the solution is closed."""
        return []

    def fit_closed(self, data: Dataset) -> None:
        """Invert the regularised Gram matrix in float64 where it fits the device, and scale its columns."""
        dense = torch.zeros(data.num_users, data.num_items, device=self.weight.device)
        dense[data.train.user, data.train.item] = 1.0
        gram = (dense.T @ dense).double()
        gram.diagonal().add_(self.l2)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        weight = inverse / -inverse.diagonal()
        weight.fill_diagonal_(0.0)
        self.weight.copy_(weight)

    def scores(self, query: Query) -> Tensor:
        """Rows of the 0/1 matrix times W, [B, num_items]."""
        size = len(query)
        rows = torch.zeros(size, self.num_items, device=self.weight.device)
        if query.users is not None:
            owner, item = CSR(self.indptr, self.indices).take(query.users)
            rows[owner, item] = 1.0
        elif query.history is not None and query.length is not None:
            inside = torch.arange(query.history.shape[1], device=rows.device) < query.length[:, None]
            owner = torch.arange(size, device=rows.device)[:, None].expand_as(query.history)
            rows[owner[inside], query.history[inside]] = 1.0
        return rows @ self.weight
