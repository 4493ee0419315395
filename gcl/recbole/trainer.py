"""RecBole's own trainer, run on gcl's split: its epochs, its early stopping, its choice on valid."""

import copy
import logging
import math
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from gcl.recbole.given import Loaders

log = logging.getLogger("gcl.recbole")


@dataclass
class Trained:
    """What a training came to: epochs trained and chosen, whether the last epoch came before the patience was spent.

    ``lines``: a mapping an epoch, ``epoch`` from 1, ``loss``, and RecBole's value of the metric on valid. ``closed``:
    the model has no epochs, its constructor computes it.
    """

    epochs: int = 0
    best_epoch: int = 0
    cut: bool = False
    closed: bool = False
    lines: list[dict[str, float]] = field(default_factory=list)


def train(config: Any, model: Any, loaders: Loaders, metric: str) -> Trained:
    """Train ``model`` in RecBole's trainer and leave it in the state that RecBole chose on valid.

    Nothing is written: the best state is kept in memory. Where valid is empty every epoch is trained and the last one
    kept. ``metric`` names the column of valid in the lines, as in those of gcl's loop.
    """
    kind = config["MODEL_TYPE"]
    trainer = import_module("recbole.utils").get_trainer(kind, config["model"])(config, model)
    made = Trained(closed=kind.name == "TRADITIONAL")
    best: dict[str, Any] = {}

    def note(epoch: int, score: float) -> None:
        made.lines.append(_line(trainer, epoch, {f"valid/{metric}": float(score)}))
        if trainer.cur_step == 0:
            made.best_epoch = epoch + 1
            if not made.closed:
                best["weights"] = copy.deepcopy(model.state_dict())
                best["others"] = copy.deepcopy(model.other_parameter())

    trainer.fit(loaders.train, loaders.valid, verbose=False, saved=False, show_progress=False, callback_fn=note)
    made.epochs = max(trainer.train_loss_dict, default=-1) + 1
    if not made.lines:
        made.lines = [_line(trainer, epoch, {}) for epoch in range(made.epochs)]
        made.best_epoch = made.epochs
    if best:
        model.load_state_dict(best["weights"])
        model.load_other_parameter(best["others"])
    stopped = loaders.valid is not None and trainer.cur_step > trainer.stopping_step
    made.cut = not made.closed and not stopped and made.epochs == config["epochs"]
    if made.closed:
        made.epochs = made.best_epoch = 0
    model.eval()
    return made


def _line(trainer: Any, epoch: int, scores: dict[str, float]) -> dict[str, float]:
    loss = trainer.train_loss_dict.get(epoch, math.nan)
    told = ", ".join(f"{name.replace('/', ' ', 1)} {value:.4f}" for name, value in scores.items())
    log.info("epoch %d: loss %.4f%s", epoch + 1, loss, f", {told}" if told else "")
    return {"epoch": epoch + 1, "loss": float(loss), **scores}
