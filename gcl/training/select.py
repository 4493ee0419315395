"""What decides on valid which epoch is kept, seen to before training begins."""

from collections.abc import Mapping
from typing import Any

from gcl.errors import InputError, nearest
from gcl.evaluation import METRICS
from gcl.evaluation.protocol import EXCLUDE, check_choice, check_cutoffs, number_of


def chosen_metric(metric: str, evaluate: Mapping[str, Any], num_items: int) -> str:
    """The name under which an evaluation of ``num_items`` items with these settings reports ``metric``.

    Where candidates are sampled, ``ndcg@20`` means ``ndcg@20/uni100``.

    Raises:
        InputError: the evaluation cannot be, does not report the metric, or it is none that is better when larger.
    """
    cutoffs = check_cutoffs(evaluate.get("k", (10, 20)), num_items)
    check_choice("exclude", evaluate.get("exclude", "seen"), EXCLUDE)
    candidates = evaluate.get("candidates", "full")
    number_of(candidates)
    suffix = "" if candidates == "full" else f"/{candidates}"
    reported = [f"{name}@{k}" for k in cutoffs for name in METRICS]
    if metric.removesuffix(suffix) not in reported:
        raise InputError(
            f"train.metric must be a metric that is evaluated, got {metric!r}; change it or evaluate.k. "
            f"{nearest(metric, reported)}"
        )
    return metric.removesuffix(suffix) + suffix
