"""The metric on valid that chooses the epoch."""

from collections.abc import Mapping
from typing import Any

from gcl.errors import InputError, nearest
from gcl.evaluation import METRICS


def chosen_metric(metric: str, evaluate: Mapping[str, Any]) -> str:
    """The name under which an evaluation with these settings reports ``metric``.

    Where candidates are sampled, ``ndcg@20`` means ``ndcg@20/uni100``.

    Raises:
        InputError: the evaluation does not report it, or it is none that is better when larger.
    """
    cutoffs = evaluate.get("k", (10, 20))
    candidates = evaluate.get("candidates", "full")
    suffix = "" if candidates == "full" else f"/{candidates}"
    reported = [f"{name}@{k}" for k in ([cutoffs] if isinstance(cutoffs, int) else cutoffs) for name in METRICS]
    if metric.removesuffix(suffix) not in reported:
        raise InputError(
            f"train.metric must be a metric that is evaluated, got {metric!r}; change it or evaluate.k. "
            f"{nearest(metric, reported)}"
        )
    return metric.removesuffix(suffix) + suffix
