"""GRACE: two corrupted graphs, every node against all other nodes of both."""

from torch import nn

from gcl.encoders.gnn import GCN
from gcl.losses import NTXent, Objective
from gcl.ssl.contrast import Contrast
from gcl.views import DropEdge, MaskFeature, Views


class GRACE(Contrast):
    """:class:`Contrast` of nodes with edges dropped and columns masked, and :class:`gcl.losses.NTXent`.

    Defaults are those for Cora. Edges fall in both directions together; ``DropEdge(pairs=False)`` is the authors' code.
    Zhu et al., Deep Graph Contrastive Representation Learning (2020).
    """

    reference = "Zhu et al., GRACE, 2020"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        views: Views = ([DropEdge(0.2), MaskFeature(0.3)], [DropEdge(0.4), MaskFeature(0.4)]),
        objective: Objective = NTXent(0.4),
        projection: int | None = 128,
        sample: int | None = None,
    ) -> None:
        super().__init__(encoder, views=views, objective=objective, projection=projection, sample=sample)

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 128) -> GCN:
        """Two layers, F -> 2d -> d, ReLU after both."""
        return GCN(in_channels, (2 * hidden, hidden))
