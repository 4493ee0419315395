"""BM3: a dropout copy of every representation is the target that one shared predictor must meet; no negatives."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gcl.data import Batch, Dataset, Pairs
from gcl.encoders import Projection
from gcl.errors import InputError
from gcl.graph import look_up
from gcl.losses import BYOL, Objective
from gcl.losses.regularisation import embedding_norm
from gcl.recommenders.multimodal.base import Cold, Multimodal


class BM3(Multimodal):
    r"""Score = <p(h_u), p(h_i)>; h_u from LightGCN (mean of layers), h_i the same plus q_i, p(x) = W x + b for all.

    With s(a, b) = mean 1 - cos(a, b) over the pairs of a batch, x' = dropout(x) without gradient, m = W_m f + b_m:

        reconstruction  s(p(h_u), h_i') + s(p(h_i), h_u')
        alignment       weight * Σ_m s(p(m_i), h_i')
        masking         weight * Σ_m s(p(m_i), m_i')
        reg             reg * (||h_U||_F + ||h_I||_F) / I       whole tables, norms not squared

    Items that lack a modality are left out of its means. s is ½ ``objective`` (BYOL, 2 - 2 cos); any pair objective can
    stand there. An item has one dropout mask a step, however often the batch has it. Only rows of the batch are
    projected and predicted: the authors do it for all items, of which the loss reads these rows.

    Scores read no features, so that a modality may be absent at test. A **cold item** is the exception: its h_i is the
    mean over its modalities of p(m_i), which alignment has taught to point at h_i, in the mean length of warm h.
    Zhou et al., Bootstrap Latent Representations for Multi-modal Recommendation (WWW 2023).

    Args:
        data: what to learn from.
        dim: width of the tables.
        layers: propagation steps.
        dropout: share of entries that a target loses.
        objective: of kind pair.
        weight: of alignment and masking.
        finetune: train the features, too, as the authors do.
        cold: see :class:`Multimodal`.
        reg: weight of the norms.
    """

    reference = "Zhou et al., WWW 2023"
    objective_kinds = ("pair",)

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 1,
        dropout: float = 0.5,
        objective: Objective = BYOL(),
        weight: float = 2.0,
        finetune: bool = True,
        cold: Cold = "modalities",
        reg: float = 0.1,
    ) -> None:
        super().__init__(data, cold)
        self.check(weight=weight, reg=reg)
        self.check_forgetful(objective)
        if not 0 <= dropout < 1:
            raise InputError(f"dropout of BM3 must lie in [0, 1), got {dropout}.")
        self.sampling = Pairs(0)
        self.encoder = self.graph_encoder(data, dim, layers)
        self.projections = self.project(data, dim, finetune=finetune, xavier=True)
        self.predictor = nn.Linear(dim, dim)
        nn.init.xavier_normal_(self.predictor.weight)
        self.objective = objective.build(data.num_users + data.num_items, dim)
        self.dropout, self.weight, self.reg = dropout, weight, reg

    def online(self) -> tuple[Tensor, Tensor]:
        """h of users and of items."""
        users, items = self.encoder.split(self.encoder.read(self.encoder()))
        return users, items + self.encoder.split(self.encoder.table)[1]

    def target(self, x: Tensor) -> Tensor:
        """x' = dropout of x, without gradient."""
        x = x.detach()
        if not self.dropout:
            return x
        keep = torch.rand(x.shape, device=x.device, dtype=x.dtype, generator=self.generator) >= self.dropout
        return x * keep / (1 - self.dropout)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``reconstruction``, ``alignment``, ``masking`` and ``reg``."""
        whole = self.online()
        (users, u), (items, i) = (torch.unique(ids, return_inverse=True) for ids in (batch.users, batch.items))
        user, item = look_up(whole[0], users), look_up(whole[1], items)
        user_target, item_target = self.target(user), self.target(item)
        terms = {
            "reconstruction": self.gap(user, u, item_target, i, items + self.num_users)
            + self.gap(item, i, user_target, u, users),
            "reg": self.reg * embedding_norm(*whole),
        }
        if not self.weight:
            return terms
        aligned, masked = [], []
        for projection in self.projected:
            rows = projection.raw(items)
            has = i[projection.features.present.index_select(0, batch.items)]
            aligned.append(self.gap(rows, has, item_target, has, items + self.num_users))
            masked.append(self.gap(rows, has, self.target(rows), has, items + self.num_users))
        terms["alignment"] = self.weight * torch.stack(aligned).sum()
        terms["masking"] = self.weight * torch.stack(masked).sum()
        return terms

    def gap(self, online: Tensor, rows: Tensor, target: Tensor, places: Tensor, ids: Tensor) -> Tensor:
        """s of predicted ``rows`` of the online side and ``places`` of the target, whose nodes have ``ids``."""
        predicted = look_up(self.predictor(online), rows)
        return self.objective(predicted, look_up(target, places), ids.index_select(0, places)) / 2

    def tables(self) -> tuple[Tensor, Tensor]:
        """Predicted representations of users and of items."""
        users, items = self.online()
        if self.some_cold:
            items = torch.where(self.warm[:, None], items, self.guessed(items))
        return self.predictor(users), self.predictor(items)

    def guessed(self, items: Tensor) -> Tensor:
        """h of items [I, d] as their modalities predict it, in the mean length of warm ones."""

        def direction(projection: Projection) -> Tensor:
            return F.normalize(self.predictor(projection.raw()), dim=1) * projection.features.has()

        length = torch.linalg.vector_norm(items[self.warm], dim=1).mean()
        return length * F.normalize(torch.stack([direction(p) for p in self.projected]).sum(0), dim=1)
