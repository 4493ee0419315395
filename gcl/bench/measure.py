"""What tables and plots need of a run beyond its result: values of users, groups, the spectrum of its items."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from gcl.diagnostics import spectrum
from gcl.errors import InputError, NoVectors
from gcl.evaluation import Evaluation
from gcl.evaluation.top_k import scoring
from gcl.training import load_run
from gcl.training.checkpoint import exists, record_of
from gcl.training.files import replacing, write_json
from gcl.training.run import RunDirectory

SPECTRUM = "spectrum"


@dataclass(frozen=True)
class Measures:
    """``evaluation`` on test; ``spectrum`` [d], singular values of the item vectors, None where there are none."""

    evaluation: Evaluation
    spectrum: Tensor | None


def measure(folder: Path, target: Path) -> None:
    """Measure the run in a folder and keep it at ``target`` (.json and .safetensors), unless that is there.

    Raises:
        InputError: a run without weights, or one whose graph holds pairs that are not in train.
    """
    from gcl.bench import guards

    of = fingerprint(folder)
    if current(folder, target):
        return
    run = load_run(folder)
    guards.require_clean(run.data)
    evaluation = run.evaluate("test")
    guards.require_train_graphs(run.model, run.trained_on)
    tensors = {name: values.contiguous() for name, values in evaluation.tensors().items()}
    try:
        with scoring(run.model):
            tensors[SPECTRUM] = spectrum(run.model.items()).sqrt()
    except NoVectors:
        pass
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target.with_name(f"{target.name}.safetensors")) as temporary:
        safetensors.torch.save_file(tensors, temporary)
    write_json(target.with_name(f"{target.name}.json"), {"of": of, **evaluation.to_dict()})


def read(target: Path) -> Measures:
    """What :func:`measure` kept."""
    facts = json.loads(target.with_name(f"{target.name}.json").read_text(encoding="utf-8"))
    tensors = safetensors.torch.load_file(target.with_name(f"{target.name}.safetensors"))
    sigma = tensors.pop(SPECTRUM, None)
    return Measures(Evaluation.from_dict(facts, tensors), sigma)


def fingerprint(folder: Path) -> str:
    """12 hexadecimal digits of the weights of a run and of the settings it is evaluated under."""
    if not exists(RunDirectory(folder).best):
        raise InputError(
            f"{folder} was stopped before an evaluated epoch was stored: there is nothing to report. Raise seconds; "
            "RecBole's trainer stores nothing before its end."
        )
    run = load_run(folder)
    told: dict[str, Any] = {"weights": record_of(run.directory.best)["sha256"], "evaluate": run.config.evaluate}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def current(folder: Path, target: Path) -> bool:
    """Whether what is kept at a target was measured on the weights and settings that the run in a folder has now."""
    try:
        facts = json.loads(target.with_name(f"{target.name}.json").read_text(encoding="utf-8"))
        return bool(facts["of"] == fingerprint(folder))
    except (OSError, ValueError, KeyError, InputError):
        return False


def mean(evaluations: list[Evaluation], metric: str) -> Evaluation:
    """Values of users as means over seeds, for one metric."""
    first = evaluations[0]
    values = torch.stack([found.per_user[metric] for found in evaluations]).mean(0)
    return Evaluation({metric: float(values.mean())}, {metric: values}, first.users, first.protocol)
