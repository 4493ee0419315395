"""Ranking metrics, the protocol that they hold under, and significance."""

from gcl.evaluation.metrics import METRICS, VARIANTS
from gcl.evaluation.protocol import Protocol
from gcl.evaluation.ranking import Ranking, evaluate, rank
from gcl.evaluation.result import Evaluation, Group
from gcl.evaluation.significance import Comparison, compare, holm
from gcl.evaluation.top_k import Scorer, top_k

__all__ = [
    "METRICS",
    "VARIANTS",
    "Comparison",
    "Evaluation",
    "Group",
    "Protocol",
    "Ranking",
    "Scorer",
    "compare",
    "evaluate",
    "holm",
    "rank",
    "top_k",
]
