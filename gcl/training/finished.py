"""A stored run: its settings, its figures, its model, all from its folder alone."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from gcl import build
from gcl.config import EVALUATE, Resolved
from gcl.data import Dataset
from gcl.errors import InputError
from gcl.evaluation import Evaluation, evaluate
from gcl.recommenders import Recommender
from gcl.signatures import check
from gcl.training import checkpoint, recommend, stored
from gcl.training.run import RunDirectory
from gcl.training.seeds import initialising


class Run:
    """A run in a folder; the source of its data is not needed.

    ``path``; ``config`` resolved; ``environment``: seed, device, threads, versions; ``result`` as in ``result.json``,
    empty while the run is not finished; ``data``: what it was given; ``model`` with the weights of
    ``best/``, on the CPU. Data and model are read when they are first asked for.
    """

    def __init__(self, path: str | Path) -> None:
        self.directory = RunDirectory(path)
        self.path = self.directory.path
        self.config = read_config(self.directory)
        self.environment = self.directory.read_json(self.directory.environment)
        result = self.directory.result
        self.result: dict[str, Any] = self.directory.read_json(result) if self.directory.finished else {}

    @cached_property
    def data(self) -> Dataset:
        """The data set that the run was given."""
        return stored.read(self.directory.data)

    @cached_property
    def trained_on(self) -> Dataset:
        """The data set as the model knows it: after a refit, with train and valid as one."""
        return self.data.refit() if self._best[1]["refit"] else self.data

    @cached_property
    def model(self) -> Recommender:
        """The model, built from the stored data, with the weights of ``best/``."""
        with initialising(self.environment["seed"]):
            model = build.create(self.config.name, self.trained_on, self.config.model)
        try:
            model.load_state_dict(self._best[0])
        except RuntimeError as error:
            raise InputError(
                f"{self.directory.best} holds the weights of another model than config.yaml describes; put the "
                f"original files back, or train anew. {error}"
            ) from error
        return model.eval()

    @cached_property
    def _best(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        if not checkpoint.exists(self.directory.best):
            raise InputError(
                f"{self.path} has no evaluated epoch yet; continue it first with gcl train --resume {self.path}."
            )
        return checkpoint.load(self.directory.best)

    def evaluate(self, part: Literal["valid", "test"] = "test", **settings: Any) -> Evaluation:
        """Evaluate on a part, under the run's own settings where no other are given.

        Raises:
            InputError: an unknown setting; valid after a refit, which was trained on it.
        """
        if part == "valid" and self._best[1]["refit"]:
            raise InputError("part must be test: this run was refitted on train and valid together.")
        changed = check(evaluate, settings, "evaluate", only=EVALUATE)
        return evaluate(self.model, self.data, part, **{**self.config.evaluate, **changed})

    def recommend(
        self, users: str | Iterable[str] | None = None, *, history: Sequence[str] | None = None, k: int = 10
    ) -> recommend.Lists:
        """The k best items for users, or for a history of items; nothing that they already have, in any part.

        Args:
            users: external ids, or ``all`` (of whom those that the model cannot answer are left out).
            history: external ids of items, from the earliest to the latest; the answer is under ``history``.
            k: length of a list; it is shorter where fewer items are left.

        Raises:
            InputError: as :func:`gcl.training.recommend.for_users` and :func:`~gcl.training.recommend.for_history`.
        """
        if (users is None) == (history is None):
            raise InputError("recommend takes users or a history: name one of them.")
        show = self.config.data.get("show") or ("title",)
        if history is not None:
            return {"history": recommend.for_history(self.model, self.trained_on, [str(i) for i in history], k, show)}
        if users == "all":
            return recommend.for_everybody(self.model, self.trained_on, k, show)
        names = [users] if isinstance(users, str) else [str(user) for user in users or ()]
        return recommend.for_users(self.model, self.trained_on, names, k, show)


def load_run(path: str | Path) -> Run:
    """The run in a folder.

    Raises:
        InputError: no run there, or one of its files is damaged.
    """
    return Run(path)


def read_config(run: RunDirectory) -> Resolved:
    """The configuration of a run.

    Raises:
        InputError: the folder is no run's, or its ``config.yaml`` cannot be read.
    """
    if not run.config.is_file():
        raise InputError(f"{run.path} holds no run: config.yaml is missing; name a folder that gcl train wrote.")
    return Resolved.from_yaml(run.config.read_text(encoding="utf-8"), str(run.config))
