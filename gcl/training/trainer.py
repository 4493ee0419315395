"""A run from its first step, or from its last checkpoint, to its result."""

import copy
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import torch
from torch import Tensor

from gcl.data import Dataset
from gcl.errors import InputError, Interrupted
from gcl.evaluation import Evaluation, evaluate
from gcl.evaluation.protocol import COLD
from gcl.recommenders import Recommender
from gcl.training import checkpoint
from gcl.training.board import Board
from gcl.training.device import machine, peak_mb
from gcl.training.diagnose import diagnose
from gcl.training.ledger import Job, Ledger, check_machine, check_same
from gcl.training.progress import Reporter
from gcl.training.run import RunDirectory
from gcl.training.seeds import initialising
from gcl.training.select import chosen_metric
from gcl.training.signals import Signals
from gcl.training.stage import Stage

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger("gcl.training")
T = TypeVar("T")
Taken = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors and position of a stage, as they were saved."""


class Trainer:
    """Trains one model: search with evaluation on valid, then refit where asked for, then one evaluation on test.

    ``model`` is freshly built, also when a run is continued: its state comes from ``last/``.
    """

    def __init__(
        self,
        model: Recommender,
        data: Dataset,
        job: Job,
        run: RunDirectory,
        fabric: "Fabric",
        ambient: Mapping[str, torch.Generator],
        signals: Signals,
        reporter: Reporter,
    ) -> None:
        self.job, self.settings, self.run, self.fabric = job, job.settings, run, fabric
        self.ambient, self.signals, self.reporter = ambient, signals, reporter
        self.metric = chosen_metric(self.settings.metric, job.evaluate, data.num_items)
        self.told = job.told(model, data)
        self.arguments = copy.deepcopy(model.arguments) if self.settings.refit else {}
        if self.settings.refit and not len(data.valid):
            raise InputError(f"train.refit needs a valid part to add to train, and {data.name!r} has none.")
        if self.settings.refit and job.evaluate.get("candidates") == COLD:
            raise InputError(
                "train.refit cannot go with evaluate.candidates='cold': a model trained on valid, too, knows the cold "
                "items of valid, and ranks them above those it does not know; leave one of the two out."
            )
        self.model: Recommender = model.to(fabric.device)
        self.source = self.data = data if fabric.device.type == "cpu" else data.to(fabric.device)
        self.ledger = Ledger()
        self.committed = set[str]()
        self.began = self.saved = time.monotonic()
        self.board: Board | None = None

    # --- the whole run ----------------------------------------------------------------------------------------------

    def train(self, resume: bool) -> dict[str, Any]:
        """Everything that is still to do; returns the result."""
        if not len(self.data.valid):
            log.warning("%r has no valid part: every epoch is trained and the last one is kept", self.data.name)
        taken = self._take_up() if resume and self.run.resumable else None
        if resume and taken is None:
            log.warning("%s holds no checkpoint yet: training starts anew", self.run.path)
            self.run.rewind(0)
        try:
            if self.model.phases():
                self._train_phases(taken)
            else:
                self._fit_closed()
            return self._finish()
        finally:
            if self.board is not None:
                self.board.close()

    def _train_phases(self, taken: Taken | None) -> None:
        if self.ledger.stage == "search":
            self._run_stage(self.settings.epochs, taken)
            taken = None
        if self.settings.refit:
            if self.ledger.stage == "search":
                self.ledger.stage, self.ledger.done = "refit", False
            self._refit_model()
            self._run_stage(self.ledger.chosen["epoch"], taken)

    def _refit_model(self) -> None:
        """Go on with a new model of the same seed on train and valid together."""
        self.data = self.source.refit()
        with initialising(self.job.seed):
            self.model = type(self.model)(self.data.to("cpu"), **self.arguments)
        self.model.to(self.fabric.device)

    def _fit_closed(self) -> None:
        """Fit a model that has a closed form; the search is one evaluation."""
        self.board = Board(self.run.path, 0)
        self._breaking(lambda: self.model.fit_closed(self.data))
        found = self._breaking(self._look) if len(self.data.valid) else {}
        self._keep_best(0, found)
        self._note(0, {"epoch": 0, **found})
        if self.settings.refit:
            self.ledger.stage = "refit"
            self._refit_model()
            self._breaking(lambda: self.model.fit_closed(self.data))

    def _finish(self) -> dict[str, Any]:
        """Evaluate what was chosen on test, once, and write the result."""
        chosen = self.ledger.chosen
        if self.ledger.stage == "refit":
            record = checkpoint.save(self.run.best, self._weights(), {**chosen, "refit": True}, self.committed)
        else:
            assert self.ledger.best is not None
            record = self.ledger.best
            self.model.load_state_dict(checkpoint.load(self.run.best)[0])
        tested: Evaluation | None = None
        if len(self.source.test):
            tested = self._breaking(lambda: evaluate(self.model, self.source, "test", **self.job.evaluate))
        else:
            log.warning("%r has no test part: nothing is reported on test", self.data.name)
        if self.board is not None:
            self.board.items(self.model, self.data, chosen["epoch"])
            self.board.pictures(self.model, chosen["epoch"])
        result = self._result(tested)
        self.run.write_result(result)
        checkpoint.prune(self.run.best, {record["file"]})
        return result

    def _result(self, tested: Evaluation | None) -> dict[str, Any]:
        self._clock()
        chosen = self.ledger.chosen
        return {
            "model": self.told["model"]["name"],
            "dataset": self.data.name,
            "seed": self.job.seed,
            "protocol": tested.protocol.to_dict() if tested else None,
            "split_hash": self.source.split.hash,
            "metrics": {"valid": chosen["valid"], "test": tested.metrics if tested else {}},
            "epochs": self.ledger.epochs,
            "best_epoch": chosen["epoch"],
            "seconds": round(self.ledger.seconds, 3),
            "peak_mb": round(self.ledger.peak_mb, 1),
            "cold": tested.cold if tested else 0,
            "run": str(self.run.path),
        }

    # --- a stage ----------------------------------------------------------------------------------------------------

    def _run_stage(self, epochs: int, taken: Taken | None) -> None:
        """All epochs of a stage that are still to do."""
        stage = Stage(self.model, self.data, self.settings, self.job.seed, self.fabric, self.ambient)
        if taken is not None:
            stage.restore(taken[1], taken[0])
        if self.board is None:
            self.board = Board(self.run.path, self._shown(stage.epoch))
        label = f"{self.told['model']['name']} on {self.data.name}" + (", refit" if self._refitting else "")
        self.reporter.start(label, epochs, len(stage), stage.epoch - 1, stage.batch)
        while not self.ledger.done:
            for _ in stage.run_epoch():
                self.reporter.step()
                self._heed(stage)
                if time.monotonic() - self.saved >= self.settings.checkpoint_seconds:
                    self._save(stage)
            self._close_epoch(stage, epochs)
            if self.ledger.done or time.monotonic() - self.saved >= self.settings.checkpoint_seconds:
                self._save(stage)
            self._heed(stage)

    def _close_epoch(self, stage: Stage, epochs: int) -> None:
        """Evaluate, note, keep the best, and decide whether to go on."""
        epoch, last = stage.epoch, stage.epoch >= epochs
        means = stage.watch.means()
        loss = sum(value for name, value in means.items() if name.startswith("loss/"))
        line: dict[str, Any] = {"epoch": epoch, "step": stage.step, "loss": loss, **means}
        if self._refitting:
            line = {"stage": "refit", **line}
        elif len(self.data.valid) and (last or not epoch % self.settings.eval_every):
            line |= self._breaking(self._look, stage)
        told = ""
        if not self._refitting:
            self.ledger.epochs = epoch
            told = self._judge(epoch, line)
            last = last or self.ledger.stale == (self.settings.patience or -1)
            if last and self.ledger.best is None:
                self._keep_best(epoch, {})
        self._note(self._shown(epoch), line)
        self.reporter.epoch(epoch, loss, told)
        self.ledger.done = last
        stage.next_epoch()

    def _judge(self, epoch: int, line: Mapping[str, Any]) -> str:
        """Keep the weights if the epoch is a gain; what to tell of it."""
        value = line.get(f"valid/{self.metric}")
        if value is None:
            return ""
        best = self.ledger.chosen["value"]
        if best is None or value > best:
            self._keep_best(epoch, line)
            self.ledger.stale = 0
        else:
            self.ledger.stale += 1
        chosen = self.ledger.chosen
        return f"{self.metric} {value:.4f} (best {chosen['value']:.4f} at {chosen['epoch']})"

    def _look(self) -> dict[str, float]:
        """Metrics on valid, and diagnostics."""
        found = evaluate(self.model, self.data, "valid", **self.job.evaluate).metrics
        seen = diagnose(self.model, self.data, self.job.seed)
        return {f"valid/{n}": v for n, v in found.items()} | {f"diagnostics/{n}": v for n, v in seen.items()}

    def _keep_best(self, epoch: int, line: Mapping[str, Any]) -> None:
        """Make the weights of now the best; those that the last checkpoint speaks of stay until the next one."""
        valid = {name.removeprefix("valid/"): value for name, value in line.items() if name.startswith("valid/")}
        facts = {"epoch": epoch, "value": valid.get(self.metric), "valid": valid, "refit": False}
        self.ledger.best = checkpoint.save(self.run.best, self._weights(), facts, self.committed)

    # --- saving and stopping ----------------------------------------------------------------------------------------

    def _save(self, stage: Stage) -> None:
        self._clock()
        self.ledger.mark = self.run.mark()
        facts = {
            "settings": self.told,
            "machine": machine(),
            "ledger": asdict(self.ledger),
            "position": stage.facts(),
        }
        checkpoint.save(self.run.last, stage.tensors(), facts)
        self.committed = {self.ledger.best["file"]} if self.ledger.best else set()
        self.saved = time.monotonic()

    def _take_up(self) -> Taken:
        """Put the run's files back to where ``last/`` was saved; returns the tensors and position of the stage."""
        tensors, facts = checkpoint.load(self.run.last)
        check_same(facts["settings"], self.told)
        check_machine(facts["machine"])
        self.ledger = Ledger(**facts["ledger"])
        self.run.rewind(self.ledger.mark)
        if self.ledger.best is not None:
            checkpoint.point(self.run.best, self.ledger.best)
            self.committed = {self.ledger.best["file"]}
        return tensors, facts["position"]

    def _heed(self, stage: Stage) -> None:
        """Stop here if a signal came."""
        if self.signals.number is not None:
            self._save(stage)
            self._leave()

    def _breaking(self, call: Callable[[], T], stage: Stage | None = None) -> T:
        """The result of a call that a signal may break off; then the stage is saved and the run left."""
        found = self.signals.breaking(lambda: (call(),))
        if found is None:
            if stage is not None:
                self._save(stage)
            self._leave()
        return found[0]

    def _leave(self) -> NoReturn:
        assert self.signals.number is not None
        raise Interrupted(
            self.signals.number, f"Stopped by a signal; {self.run.path} goes on with gcl train --resume {self.run.path}"
        )

    def _note(self, step: int, line: Mapping[str, Any]) -> None:
        self.run.append(line)
        if self.board is not None:
            self.board.scalars(step, line)

    def _clock(self) -> None:
        now = time.monotonic()
        self.ledger.seconds += now - self.began
        self.began = now
        self.ledger.peak_mb = max(self.ledger.peak_mb, peak_mb(self.fabric.device))

    def _weights(self) -> dict[str, Tensor]:
        return dict(self.model.state_dict())

    def _shown(self, epoch: int) -> int:
        """Where an epoch stands on the axis of TensorBoard: those of the refit follow those of the search."""
        return self.ledger.epochs + epoch if self._refitting else epoch

    @property
    def _refitting(self) -> bool:
        return self.ledger.stage == "refit"
