"""NCL: neighbours by structure and by prototype as positives."""

import torch
import torch.nn.functional as F
from torch import Tensor

from gcl.data import Batch, Dataset
from gcl.encoders import LightGCNEncoder
from gcl.encoders.readout import read
from gcl.errors import InputError
from gcl.graph import look_up
from gcl.losses import BPR, InfoNCE, Objective
from gcl.recommenders.base import Recommender
from gcl.recommenders.general.contrastive import contrast, say_candidates
from gcl.recommenders.general.ranking import ranked_pairs, ranking_terms
from gcl.recommenders.kmeans import kmeans


class NCL(Recommender):
    r"""LightGCN with its own table as partner of layer 2h, and of the prototype that each row belongs to.

    Loss = BPR + weight * [objective(E(2h)_u, E0_u) + alpha * objective(E(2h)_i, E0_i)] + prototype_weight * [P_u +
    alpha * P_i] + reg * ½ (||E0_u||² + ||E0_i||² + ||E0_j||²) / B; candidates all users, all items.
    P = mean_b -log softmax_c(<ê_b, c> / τ) at b's own cluster, ê = E0_b / ||E0_b||, c the normalised centroids, without
    gradient. k-means (:mod:`gcl.recommenders.kmeans`) on E0 at the beginning of every epoch, users and items apart;
    P counts from epoch ``warm_up`` + 1. Lin et al., NCL (WWW 2022).

    The authors sum both terms over the batch beside a mean BPR: their ssl_reg 1e-7 and proto_reg 8e-8 at B = 4096 are
    4e-4 and 3e-4 here. Each id of a batch counts once.

    Args:
        data: what to learn from.
        dim: width of the table.
        layers: L of the readout, the mean of layers 0 .. L.
        hops: h; layer 2h reaches nodes of the own kind.
        clusters: k of k-means; one a row on a side that has fewer rows.
        objective: of kind pair, of the structural contrast.
        weight: of the structural contrast.
        prototype_weight: of the prototype contrast.
        prototype_temperature: τ of the prototype contrast.
        alpha: weight of items beside users.
        warm_up: epochs without the prototype contrast.
        negatives: sampled negatives a positive of the ranking loss.
        reg: weight of the penalty on the table's rows.
    """

    reference = "Lin et al., WWW 2022"
    objective_kinds = ("pair",)
    user_cluster: Tensor
    item_cluster: Tensor
    user_centroids: Tensor
    item_centroids: Tensor
    warm: Tensor

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 3,
        hops: int = 1,
        clusters: int = 100,
        objective: Objective = InfoNCE(temperature=0.1),
        weight: float = 4e-4,
        prototype_weight: float = 3e-4,
        prototype_temperature: float = 0.1,
        alpha: float = 1.0,
        warm_up: int = 20,
        negatives: int = 1,
        reg: float = 1e-4,
    ) -> None:
        super().__init__(data)
        if clusters < 1:
            raise InputError(f"clusters of NCL must be at least 1, got {clusters}.")
        if hops < 1:
            raise InputError(f"hops of NCL must be at least 1, got {hops}.")
        if prototype_temperature <= 0:
            raise InputError(f"prototype_temperature of NCL must be positive, got {prototype_temperature}.")
        self.check(weight=weight, prototype_weight=prototype_weight, alpha=alpha, warm_up=warm_up, reg=reg)
        self.sampling = ranked_pairs(negatives)
        self.depth, self.partner = layers, 2 * hops
        self.encoder = LightGCNEncoder(data.train, dim, max(layers, self.partner), "mean")
        say_candidates(objective)
        self.user_objective = objective.build(data.num_users, dim)
        self.item_objective = objective.build(data.num_items, dim)
        self.rank = BPR()
        self.weight, self.prototype_weight, self.alpha, self.reg = weight, prototype_weight, alpha, reg
        self.prototype_temperature, self.warm_up = prototype_temperature, warm_up
        for side, rows in (("user", data.num_users), ("item", data.num_items)):
            self.register_buffer(f"{side}_cluster", torch.zeros(rows, dtype=torch.long))
            self.register_buffer(f"{side}_centroids", torch.zeros(min(clusters, rows), dim))
        self.register_buffer("warm", torch.zeros(()))

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Cluster the tables of users and of items."""
        self.warm.fill_(float(epoch > self.warm_up))
        users, items = self.encoder.split(self.encoder.table.detach())
        for table, centroids, cluster in (
            (users, self.user_centroids, self.user_cluster),
            (items, self.item_centroids, self.item_cluster),
        ):
            found, nearest = kmeans(table, len(centroids), generator)
            centroids.copy_(F.normalize(found, dim=1))
            cluster.copy_(nearest)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank``, ``structure``, ``prototype`` and ``reg``."""
        layers = self.encoder()
        z = read(layers[: self.depth + 1], "mean")
        (u0, i0), (u2, i2) = self.encoder.split(layers[0]), self.encoder.split(layers[self.partner])
        structure = contrast(self.user_objective, u2, u0, batch.users, whole=True) + self.alpha * contrast(
            self.item_objective, i2, i0, batch.items, whole=True
        )
        prototype = self.prototype(u0, batch.users, self.user_cluster, self.user_centroids)
        prototype = prototype + self.alpha * self.prototype(i0, batch.items, self.item_cluster, self.item_centroids)
        terms = ranking_terms(self.encoder, z, batch, self.rank, self.reg)
        terms["structure"] = self.weight * structure
        return {**terms, "prototype": self.warm * self.prototype_weight * prototype}

    def prototype(self, table: Tensor, ids: Tensor, cluster: Tensor, centroids: Tensor) -> Tensor:
        """Mean over unique ids of -log softmax over centroids, at the own cluster."""
        unique = torch.unique(ids)
        rows = F.normalize(look_up(table, unique), dim=1)
        return F.cross_entropy(rows @ centroids.T / self.prototype_temperature, cluster.index_select(0, unique))

    def tables(self) -> tuple[Tensor, Tensor]:
        """Representations of users and of items, on the clean graph."""
        return self.encoder.split(read(self.encoder()[: self.depth + 1], "mean"))
