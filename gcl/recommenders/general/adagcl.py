"""AdaGCL: two learnt generators make the views, in five phases a batch."""

import torch
from torch import Tensor

from gcl.data import Batch, Dataset
from gcl.encoders import LightGCNEncoder
from gcl.errors import InputError
from gcl.graph import Adjacency, look_up, propagate
from gcl.losses import BPR, Contrast, Objective
from gcl.losses.regularisation import all_parameters_square
from gcl.recommenders.base import Phase, Recommender
from gcl.recommenders.general.ranking import ranked_pairs, ranking_terms
from gcl.views import DropEdge, EdgeDenoiser, EdgeVAE


class AdaGCL(Recommender):
    r"""LightGCN (sum of layers) between a view of :class:`EdgeVAE` and one of :class:`EdgeDenoiser`.

    A batch is five steps, the first three of the table E0 with one optimiser, one each of the generators:

    1. weight * objective(v1, v2): v1 = layers on the auto-encoder's graph, v2 = layers on the denoiser's;
    2. bottleneck * [objective(v1', sg(v1)) + objective(v2', sg(v2))]: v' of the same graph (denoiser: its gates at
       the moved table) after step 1, v of before;
    3. BPR + decay * ||E0||²;
    4. the auto-encoder's own loss on sg(E);
    5. BPR on layers over the denoiser's noisy gates from sg(E0) + gate_reg * expected share of open gates.

    The objective sees the unique users and unique positive items of a batch in one set; by default the positive is not
    in the denominator. No gradient of a generator reaches E0, and none of the contrast a generator. β of the noisy
    gates falls as max(0.05, 2 * 0.98^epoch). The denoiser reads the live table; the authors' reads the one it started
    with. Jiang et al., Adaptive Graph Contrastive Learning (KDD 2023).

    Args:
        data: what to learn from.
        dim: width of the table.
        layers: number of propagation steps, at least 1.
        objective: of kind pair.
        weight: of the contrast.
        bottleneck: weight of the agreement with the step before.
        gate_reg: price of open gates.
        gate_low: γ of the gates' stretch, below 0; the authors' -0.95 on Last.FM.
        drop: None, or the paper's ablation: both views are graphs that lose edges at random with this probability,
            drawn anew every batch, there are no generators, and steps 4 and 5 are left out.
        negatives: sampled negatives a positive of the ranking losses.
        decay: weight of the penalty on the whole table.
    """

    reference = "Jiang et al., KDD 2023"
    objective_kinds = ("pair",)
    beta: Tensor

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        objective: Objective = Contrast(kernel="negatives", temperature=0.5),
        weight: float = 0.1,
        bottleneck: float = 0.01,
        gate_reg: float = 1e-4,
        gate_low: float = -0.45,
        drop: float | None = None,
        negatives: int = 1,
        decay: float = 1e-5,
    ) -> None:
        super().__init__(data)
        if layers < 1:
            raise InputError(f"layers of AdaGCL must be at least 1: its views are graphs; got {layers}.")
        self.check(weight=weight, bottleneck=bottleneck, gate_reg=gate_reg, decay=decay)
        self.check_forgetful(objective)
        self.sampling = ranked_pairs(negatives)
        self.encoder = LightGCNEncoder(data.train, dim, layers, "sum")
        self.drop = None if drop is None else DropEdge(drop)
        if self.drop is None:
            self.autoencoder, self.denoiser = EdgeVAE(), EdgeDenoiser(layers, low=gate_low)
            for view in (self.autoencoder, self.denoiser):
                view.allocate(self.encoder.adj, dim, self.encoder.sides)
        self.objective = objective.build(data.num_users + data.num_items, dim)
        self.rank = BPR()
        self.weight, self.bottleneck, self.gate_reg, self.decay = weight, bottleneck, gate_reg, decay
        self.register_buffer("beta", torch.tensor(2.0))
        self.before: tuple[list[Adjacency], list[Tensor]] | None = None

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Anneal the gates."""
        self.beta.fill_(max(0.05, 2.0 * 0.98**epoch))

    def phases(self) -> list[Phase]:
        """Five steps, three where edges are dropped at random; the first three share the encoder's optimiser."""
        ours = [*self.encoder.parameters(), *self.objective.parameters()]
        table = list(self.encoder.parameters())
        encoder = [
            Phase("encoder", ours, self.agreement),
            Phase("encoder", ours, self.persistence),
            Phase("encoder", table, self.losses),
        ]
        if self.drop is not None:
            return encoder
        return [
            *encoder,
            Phase("autoencoder", list(self.autoencoder.parameters()), self.rebuilding),
            Phase("denoiser", list(self.denoiser.parameters()), self.denoising),
        ]

    def agreement(self, batch: Batch) -> dict[str, Tensor]:
        """Term ``contrast`` between the two views; what they were is kept for the next phase."""
        graphs = self.graphs()
        first, second = self.views(graphs)
        self.before = graphs, [first.detach(), second.detach()]
        return {"contrast": self.weight * self.between(first, second, batch)}

    def persistence(self, batch: Batch) -> dict[str, Tensor]:
        """Term ``bottleneck`` between the views and themselves before the last step."""
        assert self.before is not None, "the phase of the contrast runs before that of the bottleneck"
        (graphs, olds), self.before = self.before, None
        terms = [self.between(new, old, batch) for new, old in zip(self.views(graphs), olds, strict=True)]
        return {"bottleneck": self.bottleneck * torch.stack(terms).sum()}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank`` and ``reg``, on the whole graph."""
        terms = ranking_terms(self.encoder, self.encoder.read(self.encoder()), batch, self.rank, 0.0)
        return {**terms, "reg": self.decay * all_parameters_square([self.encoder.table])}

    def rebuilding(self, batch: Batch) -> dict[str, Tensor]:
        """Term ``autoencoder``."""
        assert batch.negatives is not None, "the model's sampling declares negatives"
        with torch.no_grad():
            whole = self.encoder.read(self.encoder())
        nodes = [batch.users, batch.items + self.num_users, batch.negatives + self.num_users]
        return {"autoencoder": self.autoencoder.loss(whole, nodes[0], nodes[1], nodes[2], self.generator)}

    def denoising(self, batch: Batch) -> dict[str, Tensor]:
        """Terms ``rank`` on the noisy graph and ``gates``."""
        table = self.encoder.table.detach()
        layers, price = self.denoiser(self.encoder.adj, table, self.beta, self.generator)
        terms = ranking_terms(self.encoder, self.encoder.read(layers), batch, self.rank, 0.0)
        return {"rank": terms["rank"], "gates": self.gate_reg * price}

    def graphs(self) -> list[Adjacency]:
        """What a batch keeps fixed: the auto-encoder's graph, or two that lost edges at random."""
        if self.drop is not None:
            return [self.drop.draw(self.encoder.adj, self.generator) for _ in range(2)]
        with torch.no_grad():
            whole = self.encoder.read(self.encoder())
        return [self.autoencoder.graph(self.encoder.adj, whole, self.generator)]

    def views(self, graphs: list[Adjacency]) -> tuple[Tensor, Tensor]:
        """Representations on each graph; on the denoiser's, made of the table as it is, where there is one."""
        table = self.encoder.table
        made = [[table, *propagate(graph, table, self.encoder.num_layers)] for graph in graphs]
        if self.drop is None:
            made.append(self.denoiser.view(self.encoder.adj, table))
        first, second = (self.encoder.read(layers) for layers in made)
        return first, second

    def between(self, first: Tensor, second: Tensor, batch: Batch) -> Tensor:
        """The objective on the batch's users and items as one set."""
        nodes = torch.unique(torch.cat([batch.users, batch.items + self.num_users]))
        return self.objective(look_up(first, nodes), look_up(second, nodes), nodes)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Representations of users and of items, on the whole graph."""
        return self.encoder.split(self.encoder.read(self.encoder()))
