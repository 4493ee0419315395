"""The entry to training: settings become a device, a precision and a trainer."""

import logging
from collections.abc import Mapping
from typing import Any

from gcl.data import Dataset
from gcl.recommenders import Recommender
from gcl.training import device as devices
from gcl.training.ledger import Job
from gcl.training.locks import locked
from gcl.training.progress import reporter
from gcl.training.run import RunDirectory
from gcl.training.seeds import borrowed
from gcl.training.settings import TrainSettings
from gcl.training.signals import Signals
from gcl.training.trainer import Trainer

log = logging.getLogger("gcl.training")


def train(
    model: Recommender,
    data: Dataset,
    train: TrainSettings,
    evaluate: Mapping[str, Any],
    *,
    run: RunDirectory,
    seed: int = 0,
    device: str = "auto",
    precision: str = "32",
    resume: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Train a model, choose its epoch on valid, and evaluate it once on test.

    On the CPU a run that was stopped at any moment and continued equals one that was not, bit for bit, with the same
    number of threads, version of torch and kind of processor.

    Args:
        model: freshly built from ``data``, also to resume.
        data: where a split has no valid part, every epoch is trained and the last one kept.
        train: settings of the loop.
        evaluate: keyword arguments of :func:`gcl.evaluation.evaluate`.
        run: where everything is written.
        seed: the root of all random numbers but those of the model's initialisation and of the split.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``32`` or ``bf16``.
        resume: go on from ``last/``; a finished run returns its result.
        progress: a bar on a terminal, lines on stderr elsewhere.

    Returns:
        ``model, dataset, seed, protocol, split_hash, metrics {valid, test}, epochs, best_epoch, seconds, peak_mb,
        cold, run``, as in ``result.json``.

    Raises:
        InputError: settings that do not fit each other, another run in the folder, or another process at work in it, a
            checkpoint that is damaged or of other settings.
        Interrupted: SIGINT or SIGTERM; the state was saved.
        NonFiniteLoss: a loss or a gradient became NaN or infinite.
        WriteError: a file could not be written; the checkpoint before is intact.
    """
    chosen = devices.choose(device)
    fabric = devices.fabric(chosen, precision)
    job = Job(train, evaluate, seed, chosen.type, precision)
    signals = Signals()
    with locked(run.path):
        if not resume:
            run.check_free()
        elif run.finished:
            log.info("%s is finished", run.path)
            return run.read_json(run.result)
        if not run.environment.is_file():
            run.write_environment({"seed": seed, "device": str(chosen), "precision": precision})
        with (
            signals.listening(),
            devices.deterministic(chosen),
            borrowed(chosen) as ambient,
            reporter(progress) as told,
        ):
            return Trainer(model, data, job, run, fabric, ambient, signals, told).train(resume)
