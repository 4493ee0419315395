"""What a run has come to, and what it must share with the run that it continues."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gcl import build, grammar
from gcl.data import Dataset
from gcl.errors import InputError
from gcl.recommenders import Recommender
from gcl.training.checkpoint import Record
from gcl.training.device import machine
from gcl.training.settings import TrainSettings

log = logging.getLogger("gcl.training")


@dataclass
class Ledger:
    """What a run has come to, beside the numbers of its stage; all of it is in ``last/``.

    ``stage``: ``search``, then ``refit`` where asked for; ``done``: its last epoch is over; ``epochs`` of the search so
    far; ``stale`` evaluations since the last gain; ``best``: the record of ``best/`` as the search left it; ``mark``:
    bytes of ``metrics.jsonl``.
    """

    stage: str = "search"
    done: bool = False
    epochs: int = 0
    stale: int = 0
    best: Record | None = None
    mark: int = 0
    seconds: float = 0.0
    peak_mb: float = 0.0

    @property
    def chosen(self) -> dict[str, Any]:
        """``epoch``, ``value`` and metrics on ``valid`` of the best epoch so far."""
        return self.best["facts"] if self.best else {"epoch": 0, "value": None, "valid": {}}


@dataclass(frozen=True)
class Job:
    """How a model is trained: its settings, those of the evaluation, the root seed, and device and precision."""

    settings: TrainSettings
    evaluate: Mapping[str, Any]
    seed: int
    device: str
    precision: str

    def told(self, model: Recommender, data: Dataset) -> dict[str, Any]:
        """All that decides the numbers of a run, as JSON has it."""
        train = self.settings.model_dump(mode="json")
        del train["checkpoint_seconds"]
        return {
            "model": {"name": build.name_of(type(model)), **build.plain(model.arguments, "model")},
            "train": train,
            "evaluate": build.plain(self.evaluate, "evaluate"),
            "seed": self.seed,
            "device": self.device,
            "precision": self.precision,
            "split": data.split.hash,
        }


def check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """An error naming every setting in which a run differs from the checkpoint that it should continue."""
    there, here = (
        {path: value for key, tree in told.items() for path, value in grammar.leaves(tree, key).items()}
        for told in (before, now)
    )
    missing = "nothing"
    changed = [
        f"{path} is {here.get(path, missing)!r} and was {there.get(path, missing)!r}"
        for path in dict.fromkeys([*there, *here])
        if here.get(path, missing) != there.get(path, missing)
    ]
    if changed:
        raise InputError(
            f"A run continues under the settings it began with, but {'; '.join(changed)}. Put the settings back, or "
            "start a new run in another folder."
        )


def check_machine(before: Mapping[str, Any]) -> None:
    """Say so where threads, torch or the processor are others: sums are then rounded otherwise."""
    told = {"threads": "%s threads", "torch": "torch %s", "cpu": "a processor %s"}
    now = machine()
    for what, text in told.items():
        if before[what] != now[what]:
            log.warning(
                "the run began with %s and goes on with %s: it will not equal the uninterrupted run bit for bit",
                text % before[what],
                text % now[what],
            )
