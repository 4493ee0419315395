"""BPRMF: matrix factorisation with a pairwise ranking loss."""

from gcl.data import Dataset
from gcl.losses import BPR, Objective
from gcl.recommenders.general.lightgcn import LightGCN


class BPRMF(LightGCN):
    """LightGCN without a graph: score of (u, i) = <p_u, q_i>.

    Loss = BPR(s_ui, s_uj) + reg * ½ (||p_u||² + ||q_i||² + ||q_j||²) / B. Rendle et al., BPR (UAI 2009).

    Args:
        data: what to learn from.
        dim: width of the tables.
        negatives: sampled negatives a positive.
        objective: of kind ranking.
        reg: weight of the penalty on the tables' rows.
    """

    reference = "Rendle et al., UAI 2009"

    def __init__(
        self, data: Dataset, *, dim: int = 64, negatives: int = 1, objective: Objective = BPR(), reg: float = 1e-4
    ) -> None:
        super().__init__(data, dim=dim, layers=0, negatives=negatives, objective=objective, reg=reg)
