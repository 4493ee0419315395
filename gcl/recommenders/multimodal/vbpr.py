"""VBPR: matrix factorisation with a second half of the item that is read off its features."""

import torch
from torch import Tensor, nn

from gcl.data import Batch, Dataset
from gcl.graph import look_up
from gcl.losses import BPR, Objective
from gcl.losses.regularisation import embedding_norm
from gcl.recommenders.multimodal.base import Cold, Multimodal, ranking


class VBPR(Multimodal):
    r"""Score of (u, i) = <p_u, q_i> + <t_u, Σ_m W_m f_im + b_m>; the sum is a projection of the concatenated features.

    Loss = BPR(s_ui, s_uj) + reg * (||[p t]_u||_F + ||[q x]_i||_F + ||[q x]_j||_F) / B over the rows of a batch, x the
    projected features, norms not squared. Features are frozen; only rows of the batch are projected. No biases of
    users and items, as in MMRec's form. A cold item has no q_i. Projections begin as ``nn.Linear`` has them; MMRec's
    begin Xavier-normal without bias. He and McAuley, VBPR (AAAI 2016).

    Args:
        data: what to learn from.
        dim: width of the id half and of the feature half.
        objective: of kind ranking.
        negatives: sampled negatives a positive.
        finetune: train the features, too.
        cold: see :class:`Multimodal`.
        reg: weight of the norms.
    """

    reference = "He and McAuley, AAAI 2016"
    objective_kinds = ("ranking",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        objective: Objective = BPR(),
        negatives: int = 1,
        finetune: bool = False,
        cold: Cold = "modalities",
        reg: float = 0.01,
    ) -> None:
        super().__init__(data, cold)
        self.check(reg=reg)
        self.sampling = self.ranked_pairs(negatives)
        self.users = nn.Parameter(nn.init.xavier_uniform_(torch.empty(data.num_users, 2 * dim)))
        self.table = nn.Parameter(nn.init.xavier_uniform_(torch.empty(data.num_items, dim)))
        self.without_cold(self.table)
        self.projections = self.project(data, dim, finetune=finetune)
        self.objective = objective.build(data.num_items, 2 * dim)
        self.reg = reg

    def seen(self, items: Tensor | None = None) -> Tensor:
        """Both halves of ``items`` [n], of all without, [n, 2 dim]."""
        ids = self.table if items is None else look_up(self.table, items)
        return torch.cat([ids, torch.stack([p(items) for p in self.projections]).sum(0)], 1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank`` and ``reg``; each item of the batch is projected once."""
        assert batch.negatives is not None, "the model's sampling declares negatives"
        both = torch.cat([batch.items[:, None], batch.negatives], 1)
        items, place = torch.unique(both, return_inverse=True)
        local = Batch(batch.users, place[:, 0], place[:, 1:])
        rank, rows = ranking(self.objective, self.users, self.seen(items), local)
        return {"rank": rank, "reg": self.reg * embedding_norm(rows[2], rows[1], rows[0])}

    def tables(self) -> tuple[Tensor, Tensor]:
        """Both halves of users and of items."""
        return self.users, self.seen()
