"""Ranking metrics, the protocol that they hold under, and significance; probes of embeddings."""

from gcl.evaluation.metrics import METRICS, VARIANTS
from gcl.evaluation.probes import Probe, ProbeSettings, probe
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
    "Probe",
    "ProbeSettings",
    "Protocol",
    "Ranking",
    "Scorer",
    "compare",
    "evaluate",
    "holm",
    "probe",
    "rank",
    "top_k",
]
