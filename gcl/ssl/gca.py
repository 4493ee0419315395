"""GCA: GRACE whose views keep what is central."""

from torch import nn

from gcl.encoders.gnn import GCN, Activation
from gcl.losses import NTXent, Objective
from gcl.ssl.contrast import Contrast
from gcl.views import AdaptiveDropEdge, AdaptiveMaskFeature, Views


class GCA(Contrast):
    """:class:`Contrast` of nodes with peripheral edges dropped and peripheral columns masked more often.

    Defaults are those for Amazon Photo, with degree as centrality.
    Zhu et al., Graph Contrastive Learning with Adaptive Augmentation (WWW 2021).
    """

    reference = "Zhu et al., WWW 2021"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        views: Views = (
            [AdaptiveDropEdge(0.3), AdaptiveMaskFeature(0.1)],
            [AdaptiveDropEdge(0.5), AdaptiveMaskFeature(0.1)],
        ),
        objective: Objective = NTXent(0.3),
        projection: int | None = 64,
        sample: int | None = None,
    ) -> None:
        super().__init__(encoder, views=views, objective=objective, projection=projection, sample=sample)

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 256, act: Activation = "relu") -> GCN:
        """Two layers, F -> 2d -> d, the activation after both."""
        return GCN(in_channels, (2 * hidden, hidden), act=act)
