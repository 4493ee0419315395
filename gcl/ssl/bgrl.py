"""BGRL: a view predicts what a slow copy of the encoder sees in the other."""

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gcl.encoders.gnn import GCN
from gcl.losses import BYOL, Objective
from gcl.ssl.base import Method, encode, reset
from gcl.ssl.contrast import common, prepared, viewed
from gcl.views import DataView, DropEdge, MaskFeature, Views, two_views

if TYPE_CHECKING:
    from torch_geometric.data import Data


class BGRL(Method):
    """2 - mean_i cos(q(h1_i), t2_i) - mean_i cos(q(h2_i), t1_i): h of the encoder, t of its target, without gradient.

    q is d -> ``predictor`` -> d with PReLU. The target φ starts from parameters of its own and follows the encoder θ,
    φ <- m φ + (1 - m) θ after every step, m = 1 - (1 - ``momentum``)(1 + cos(π step / steps)) / 2; its buffers are its
    own. No negatives, linear in N. Defaults are those for Amazon Photo.
    Thakoor et al., Large-Scale Representation Learning on Graphs via Bootstrapping (ICLR 2022).

    Args:
        encoder: see :class:`gcl.ssl.Method`; batch normalisation in it matters.
        views: two entries, or one that is drawn twice independently; an entry is a view or a chain of views.
        objective: of kind pair, between prediction and target, averaged over both directions.
        predictor: hidden width of q.
        momentum: m at step 0, in [0, 1].
        steps: after which m is 1; None: the length of the training, which gcl's loop tells by :meth:`begin`. In a
            loop that does not, m stays as it is.
    """

    reference = "Thakoor et al., ICLR 2022"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        views: Views = ([DropEdge(0.4), MaskFeature(0.1)], [DropEdge(0.1), MaskFeature(0.2)]),
        objective: Objective = BYOL(),
        predictor: int = 512,
        momentum: float = 0.99,
        steps: int | None = None,
    ) -> None:
        super().__init__(encoder)
        if not 0.0 <= momentum <= 1.0:
            raise ValueError(f"momentum must be in [0, 1], got {momentum}.")
        if steps is not None and steps < 1:
            raise ValueError(f"steps must be at least 1, or None, got {steps}.")
        self.momentum, self.steps = momentum, steps
        self.views = two_views(views, DataView)
        if prepared(self.views, encoder):
            raise ValueError("views of BGRL cannot be adversarial: it has nothing that they could maximise safely.")
        self.objective = objective.build(0, self.channels)
        if predictor < 1:
            raise ValueError(f"predictor must be a width of at least 1, got {predictor}.")
        self.target = reset(copy.deepcopy(encoder)).requires_grad_(False)
        self.predictor = nn.Sequential(
            nn.Linear(self.channels, predictor), nn.PReLU(), nn.Linear(predictor, self.channels)
        )

    def losses(self, data: "Data", generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Term ``bootstrap``."""
        views = [viewed(entry, data, generator) for entry in self.views]
        online = [encode(self.encoder, view) for view in views]
        with torch.no_grad():
            target = [encode(self.target, view) for view in views]
        if not torch.equal(views[0].n_id, views[1].n_id):
            at = common(views[0].n_id, views[1].n_id, int(data.num_nodes or 0))
            online, target = ([h.index_select(0, i) for h, i in zip(hs, at, strict=True)] for hs in (online, target))
        there = self.objective(self.predictor(online[0]), target[1])
        back = self.objective(self.predictor(online[1]), target[0])
        return {"bootstrap": (there + back) / 2}

    def begin(self, steps: int) -> None:
        """Take the length of the training, unless one was given."""
        self.steps = self.steps or steps

    def rate(self, step: int) -> float:
        """m after ``step`` steps."""
        if self.steps is None:
            return self.momentum
        return 1.0 - (1.0 - self.momentum) * (1.0 + math.cos(math.pi * min(step / self.steps, 1.0))) / 2

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Let the target follow."""
        rate = self.rate(step)
        for slow, fast in zip(self.target.parameters(), self.encoder.parameters(), strict=True):
            slow.lerp_(fast, 1.0 - rate)

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 128) -> GCN:
        """Two layers, F -> 2d -> d, batch normalisation and PReLU after both."""
        return GCN(in_channels, (2 * hidden, hidden), act="prelu", norm=True)
