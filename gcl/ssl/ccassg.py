"""CCA-SSG: views that agree, coordinates that do not."""

from torch import nn

from gcl.encoders.gnn import GCN
from gcl.losses import CCASSG as Canonical
from gcl.losses import Objective
from gcl.ssl.contrast import Contrast
from gcl.views import DropEdge, MaskFeature, Views


class CCASSG(Contrast):
    """:class:`Contrast` of nodes by :class:`gcl.losses.CCASSG`: no projector, no negatives, no second encoder.

    Defaults are those for Cora, but for edges that fall in both directions together; the authors' code, and the files
    in ``configs``, toss a coin for each (``pairs=False``). Linear in N, and the fastest of the strong methods.
    Zhang et al., From Canonical Correlation Analysis to Self-supervised Graph Neural Networks (NeurIPS 2021).
    """

    reference = "Zhang et al., NeurIPS 2021"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        views: Views = ([DropEdge(0.4), MaskFeature(0.1)],),
        objective: Objective = Canonical(1e-3),
        sample: int | None = None,
    ) -> None:
        super().__init__(encoder, views=views, objective=objective, projection=None, sample=sample)

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 512, layers: int = 2) -> GCN:
        """Layers of one width, ReLU between them (one layer for Citeseer)."""
        return GCN(in_channels, (hidden,) * layers, last=False)
