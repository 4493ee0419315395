"""A room for RecBole: what it changes for the whole process is put back when it leaves."""

import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from io import StringIO
from typing import Any

import numpy as np
import torch
import yaml


class Curve:
    """Stands in for RecBole's TensorBoard writer, which would make a folder in the current one; keeps the scalars."""

    def __init__(self) -> None:
        self.points: dict[int, dict[str, float]] = {}

    def add_scalar(self, tag: str, value: float, epoch: int) -> None:
        """One value of an epoch, counted from 0."""
        self.points.setdefault(epoch, {})[tag] = float(value)

    def add_hparams(self, *_: Any) -> None:
        """Settings are in the run's configuration already."""


@contextmanager
def enclosed(seed: int) -> Iterator[None]:
    """RecBole's code runs inside, seeded as RecBole seeds itself.

    It sees no command line. Put back after: the generators of random, numpy and torch, cuDNN's and torch's settings of
    determinism, the detection of anomalies that importing one of its models switches on, the number of threads,
    ``CUDA_VISIBLE_DEVICES``, PyYAML's full loader, the root logger's handlers and level, and RecBole's own
    ``get_tensorboard``, which inside makes a :class:`Curve`. What it prints, and warnings, are dropped.
    """
    before = _state()
    try:
        sys.argv = sys.argv[:1]
        logging.getLogger().addHandler(logging.NullHandler())
        torch.use_deterministic_algorithms(False)
        _trainer().get_tensorboard = lambda logger: Curve()
        import_module("recbole.utils").init_seed(seed, True)
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        _restore(before)


def _state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    root, full = logging.getLogger(), yaml.FullLoader
    return {
        "argv": sys.argv,
        "random": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002 - RecBole draws from it
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "anomaly": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "threads": torch.get_num_threads(),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "resolvers": {key: list(found) for key, found in full.yaml_implicit_resolvers.items()},
        "log": (root.level, list(root.handlers)),
        "tensorboard": _trainer().get_tensorboard,
    }


def _restore(before: dict[str, Any]) -> None:
    sys.argv = before["argv"]
    random.setstate(before["random"])
    np.random.set_state(before["numpy"])  # noqa: NPY002
    torch.set_rng_state(before["torch"])
    if before["cuda"]:
        torch.cuda.set_rng_state_all(before["cuda"])
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before["cudnn"]
    torch.use_deterministic_algorithms(before["deterministic"][0], warn_only=before["deterministic"][1])
    torch.autograd.set_detect_anomaly(*before["anomaly"])
    if torch.get_num_threads() != before["threads"]:
        torch.set_num_threads(before["threads"])
    if before["visible"] is None:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = before["visible"]
    yaml.FullLoader.yaml_implicit_resolvers = before["resolvers"]
    root = logging.getLogger()
    root.setLevel(before["log"][0])
    root.handlers[:] = before["log"][1]
    _trainer().get_tensorboard = before["tensorboard"]


def _trainer() -> Any:
    return import_module("recbole.trainer.trainer")
