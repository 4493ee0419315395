"""G-BT: Barlow Twins on graphs, without negatives."""

from torch import nn

from gcl.encoders.gnn import GCN
from gcl.losses import BarlowTwins, Objective
from gcl.ssl.contrast import Contrast
from gcl.views import DropEdge, MaskFeature, Views


class GBT(Contrast):
    """:class:`Contrast` of nodes by :class:`gcl.losses.BarlowTwins` with λ = 1 / d, no projector; linear in N.

    Defaults are those for Amazon Photo. Bielak et al., Graph Barlow Twins (KBS 2022).
    """

    reference = "Bielak et al., KBS 2022"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        views: Views = ([DropEdge(0.1), MaskFeature(0.3)],),
        objective: Objective = BarlowTwins(off=None),
        sample: int | None = None,
    ) -> None:
        super().__init__(encoder, views=views, objective=objective, projection=None, sample=sample)

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 256) -> GCN:
        """Two layers, F -> 2d -> d, batch normalisation and PReLU after the first."""
        return GCN(in_channels, (2 * hidden, hidden), act="prelu", norm=True, last=False)
