"""ICLRec: two views of a sequence must stay alike, and near the intent that the sequence belongs to."""

import torch
import torch.nn.functional as F
from torch import Tensor

from gcl.data import Batch, Dataset, Sequences
from gcl.data.sequences import SequenceRows, windows
from gcl.encoders import TransformerEncoder
from gcl.losses import NTXent, Objective
from gcl.recommenders.kmeans import assign, kmeans
from gcl.recommenders.sequential.base import SequenceRecommender, Targets, sequences_of, side_by_side
from gcl.recommenders.sequential.looks import SequenceLooks
from gcl.recommenders.sequential.next_item import Loss, NextItem
from gcl.views import Crop, Mask, Reorder, Views

ROWS = 256
"""Sequences encoded at once for clustering."""


class ICLRec(SequenceRecommender):
    """Next-item loss + weight * objective(h1, h2) + intent_weight * ½ (objective(h1, c) + objective(h2, c)).

    h1, h2 are vectors of two views of a history, each the mean of its states. c is the nearest of K centroids, found at
    the beginning of every epoch by k-means on the mean states of all training sequences, then of length 1. Sequences
    of one intent are each other's negatives, as in the authors' scripts, unless ``denoise``. Departures from the code:
    it contrasts all states side by side by default, and takes the best of 5 starts of k-means, this one start.
    Chen et al. (WWW 2022).

    Args:
        data: what to learn from; its interactions must be ordered.
        dim: width.
        layers: number of blocks.
        heads: of attention.
        inner: width inside the feed-forward nets.
        dropout: of input, attention and blocks.
        max_length: items of a history that are read, the latest.
        modalities: names of those whose features are added to the items.
        targets: ``all`` positions, all in ``windows`` of a longer history, the ``last`` alone, or every ``prefix`` as
            its own row; see :class:`gcl.data.Sequences`.
        loss: of the next item, see :class:`gcl.recommenders.sequential.next_item.NextItem`.
        negatives: of the losses that draw them.
        views: entries of which every sequence gets two; a single one is drawn twice.
        objective: of kind pair, of both contrasts.
        weight: of the contrast of views.
        intents: K, at most the number of training sequences.
        intent_weight: of the contrast with intents.
        denoise: sequences of one intent are not negatives in the contrast with intents.
    """

    reference = "Chen et al., WWW 2022"
    objective_kinds = ("pair",)
    centroids: Tensor

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        heads: int = 2,
        inner: int = 256,
        dropout: float = 0.5,
        max_length: int = 50,
        modalities: tuple[str, ...] = (),
        targets: Targets = "all",
        loss: Loss = "softmax",
        negatives: int = 256,
        views: Views = (Crop(0.2), Mask(0.7), Reorder(0.2)),
        objective: Objective = NTXent(temperature=1.0, similarity="dot"),
        weight: float = 0.1,
        intents: int = 256,
        intent_weight: float = 0.1,
        denoise: bool = False,
    ) -> None:
        encoder = TransformerEncoder(
            data.num_items, dim, max_length, layers=layers, heads=heads, inner=inner, dropout=dropout
        )
        super().__init__(data, encoder, NextItem(data, loss, negatives), targets, modalities)
        self.check(weight=weight, intent_weight=intent_weight)
        self.check_forgetful(objective)
        if intents < 1:
            raise ValueError(f"intents of ICLRec must be at least 1, got {intents}.")
        self.looks = SequenceLooks(views, data.train)
        self.objective = objective.build(data.num_users, dim)
        self.weight, self.intent_weight, self.denoise = weight, intent_weight, denoise
        self.history = data.train.history
        self.rows = SequenceRows(self.history, Sequences("last", max_length))
        self.register_buffer("centroids", torch.zeros(min(intents, len(self.rows)), dim))

    @torch.no_grad()
    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Cluster the training sequences, without dropout."""
        was = self.training
        self.eval()
        device, vectors = self.centroids.device, list[Tensor]()
        for last, length in zip(self.rows.last.split(ROWS), self.rows.length.split(ROWS), strict=True):
            items = windows(self.history, last, length, int(length.max())).to(device)
            vectors.append(self.mean(items, length.to(device)))
        self.centroids.copy_(F.normalize(kmeans(torch.cat(vectors), len(self.centroids), generator)[0], dim=1))
        self.train(was)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``next``, ``contrast`` and ``intent``."""
        history, length, _ = sequences_of(batch)
        h1, h2 = self.mean(*side_by_side(*self.looks(history, length, self.generator))).chunk(2)
        with torch.no_grad():
            intent = assign(self.mean(history, length), self.centroids)
        centre, ids = self.centroids.index_select(0, intent), intent if self.denoise else None
        near = 0.5 * (self.objective(h1, centre, ids) + self.objective(h2, centre, ids))
        contrast = self.weight * self.objective(h1, h2)
        return {"next": self.predict(batch), "contrast": contrast, "intent": self.intent_weight * near}

    def mean(self, items: Tensor, length: Tensor) -> Tensor:
        """Mean of the states of sequences of at most ``max_length`` items, [B, d]."""
        items, length = self.encoder.cut(items, length)
        inside = torch.arange(items.shape[1], device=items.device) < length[:, None]
        return (self.encoder(items, length) * inside[:, :, None]).sum(1) / length[:, None].clamp_min(1)
