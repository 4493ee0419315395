"""GraphCL: two augmented views of every graph, graphs against graphs."""

from torch import nn

from gcl.encoders.gnn import GIN
from gcl.losses import Contrast as PairContrast
from gcl.losses import Objective
from gcl.ssl.contrast import Contrast
from gcl.views import DropNode, RandomChoice, Subgraph, Views


class GraphCL(Contrast):
    """:class:`Contrast` of graphs: mean_i [ -s_ii / τ + log Σ_{j ≠ i} exp(s_ij / τ) ], cosines, both directions.

    The positive is not in the denominator, as in paper and code. Each view drops nodes or grows a subgraph, one of the
    two drawn a graph (the code leaves one view unchanged). ``objective=MACL()`` is model-aware contrast (Huang et al.,
    ICML 2023). You et al., Graph Contrastive Learning with Augmentations (NeurIPS 2020).
    """

    level = "graph"
    reference = "You et al., NeurIPS 2020"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        views: Views = (RandomChoice([DropNode(0.1), Subgraph(0.8)], each_graph=True),),
        objective: Objective = PairContrast(temperature=0.2, kernel="negatives", forward=0.5),
        projection: int | None = 96,
    ) -> None:
        super().__init__(encoder, views=views, objective=objective, level="graph", projection=projection)

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 32, layers: int = 3) -> GIN:
        """GIN, all layers side by side."""
        return GIN(in_channels, hidden, layers)
