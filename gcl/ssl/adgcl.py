"""AD-GCL: edges fall where the contrast suffers most, within a budget."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gcl.encoders.gnn import GIN
from gcl.losses import Contrast as PairContrast
from gcl.losses import Objective
from gcl.ssl.base import Method, Phase, encode, evaluating, represent, reset
from gcl.ssl.contrast import give, projector
from gcl.views.batches import edges_of, graphs_of, pair_ids, put_weight, weight_of

if TYPE_CHECKING:
    from torch_geometric.data import Data

EPS = 1e-4
BOUND = 6.0


class EdgeLearner(nn.Module):
    """Which edges pass: ω_uv = 6 tanh((g(h_u, h_v) + g(h_v, h_u)) / 12), weights σ((logit(ε) + ω) / τ), ε ~ U(0, 1).

    h are states of an encoder of its own, g an MLP 2d -> hidden -> 1. One ω and one ε an undirected edge. The bound
    keeps every edge where it has a gradient.
    """

    def __init__(self, encoder: nn.Module, channels: int, hidden: int, temperature: float) -> None:
        super().__init__()
        self.encoder, self.temperature = encoder, temperature
        self.ends = nn.Sequential(nn.Linear(2 * channels, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def logits(self, data: "Data") -> Tensor:
        """ω of every edge [E]."""
        states, (source, target) = encode(self.encoder, data), edges_of(data)
        one, other = states.index_select(0, source), states.index_select(0, target)
        both = self.ends(torch.cat([one, other], 1)) + self.ends(torch.cat([other, one], 1))
        return BOUND * torch.tanh(both[:, 0] / (2 * BOUND))

    def forward(self, data: "Data", generator: torch.Generator | None = None) -> Tensor:
        """Weights of all edges [E], in (0, 1), equal in both directions up to rounding."""
        ids, count = pair_ids(edges_of(data), int(data.num_nodes or 0))
        logits = self.logits(data)
        coin = torch.rand(count, generator=generator, device=generator.device if generator else None)
        coin = coin.to(logits.device).clamp_(EPS, 1.0 - EPS)
        return torch.sigmoid((torch.logit(coin).index_select(0, ids) + logits) / self.temperature)


class ADGCL(Method):
    """min over the encoder, max over the edge learner of L(y, y') - ``budget`` * drop: graphs, and with weighted edges.

    L = mean_i [ -s_ii / τ + log Σ_{j ≠ i} exp(s_ij / τ) ] of projected cosines, both directions; drop is the mean over
    graphs of the mean of 1 - weight. Per batch first the learner steps, the encoder fixed and in eval mode, then the
    encoder, weights fixed. The learner starts as a copy of the encoder with parameters of its own.
    Suresh et al., Adversarial Graph Augmentation to Improve Graph Contrastive Learning (NeurIPS 2021).

    Without a budget the learner goes on dropping edges, towards a constant view; with a large one it keeps them all.
    :meth:`report` has the numbers to watch.

    Args:
        encoder: see :class:`gcl.ssl.Method`; convolutions without weights of edges are weighted by their messages.
        objective: of kind pair.
        projection: hidden width of the projector, ReLU between; None: none.
        budget: λ >= 0, price of a dropped edge; 0.1 to 10.
        ends: hidden width of the MLP on the ends of an edge.
        temperature: τ > 0 of the weights; below 0.3 gradients vanish.
    """

    level = "graph"
    reference = "Suresh et al., NeurIPS 2021"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        objective: Objective = PairContrast(temperature=0.2, kernel="negatives", forward=0.5),
        projection: int | None = 32,
        budget: float = 5.0,
        ends: int = 64,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(encoder)
        if budget < 0:
            raise ValueError(f"budget must not be negative, got {budget}: drops would be paid for.")
        if ends < 1:
            raise ValueError(f"ends must be at least 1, got {ends}.")
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}.")
        self.budget = budget
        self.objective = objective.build(0, self.channels)
        self.projector = projector(self.channels, projection, nn.ReLU)
        self.learner = EdgeLearner(reset(copy.deepcopy(encoder)), self.channels, ends, temperature)

    def losses(self, data: "Data", generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Term ``contrast``, of the encoder's phase."""
        with torch.no_grad(), evaluating(self.learner):
            weight = self.learner(data, generator)
        return {"contrast": self.contrast(data, weight, generator)}

    def adversary(self, data: "Data", generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Terms ``adversary`` and ``budget``, of the learner's phase."""
        weight = self.learner(data, generator)
        with evaluating(self.encoder, self.projector), fixed(self.encoder, self.projector, self.objective):
            value = self.contrast(data, weight, generator)
        return {"adversary": -value, "budget": self.budget * drop(data, weight)}

    def phases(self) -> list[Phase]:
        """The learner, then the encoder."""
        learner = list(self.learner.parameters())
        theirs = {id(p) for p in learner}
        rest = [p for p in self.parameters() if id(p) not in theirs]
        return [Phase("views", learner, self.adversary), Phase("main", rest, self.losses)]

    def contrast(self, data: "Data", weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """L between the graphs and the same with edges weighted, a scalar."""
        give(self.objective, generator)
        dropped = put_weight(data, weight_of(data) * weight)
        whole, part = (self.projector(represent(self.encoder, d, "graph")) for d in (data, dropped))
        return self.objective(whole, part)

    @torch.no_grad()
    def report(self, data: "Data") -> dict[str, float]:
        """``keep``, mean of σ(ω); ``entropy`` of it in nats, at most log 2; ``logit_mean`` and ``logit_std`` of ω.

        Near 0 or 1 ``keep`` tells of a budget too small or too large, a ``logit_std`` near 0 of edges not told apart.
        """
        with evaluating(self.learner):
            logits = self.learner.logits(data)
        keep = torch.sigmoid(logits)
        entropy = nn.functional.binary_cross_entropy(keep, keep)
        spread = logits.std(correction=0)
        return {
            "keep": float(keep.mean()), "entropy": float(entropy),
            "logit_mean": float(logits.mean()), "logit_std": float(spread),
        }  # fmt: skip

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 32, layers: int = 5) -> GIN:
        """GIN, the last layer alone."""
        return GIN(in_channels, hidden, layers, concat=False)


def drop(data: "Data", weight: Tensor) -> Tensor:
    """Mean over graphs with edges of the mean of 1 - weight, a scalar."""
    batch, graphs = graphs_of(data)
    owner = batch.index_select(0, edges_of(data)[0])
    count = torch.bincount(owner, minlength=graphs)
    share = weight.new_zeros(graphs).index_add(0, owner, 1.0 - weight) / count.clamp(min=1)
    return share.sum() / (count > 0).sum().clamp(min=1)


@contextmanager
def fixed(*modules: nn.Module) -> Iterator[None]:
    """Parameters of modules as constants for a while."""
    learnt = [p for module in modules for p in module.parameters() if p.requires_grad]
    for p in learnt:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in learnt:
            p.requires_grad_(True)
