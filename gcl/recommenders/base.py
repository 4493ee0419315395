"""The contract of all recommenders."""

from abc import ABC
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, TypeVar

import torch
from torch import Tensor, nn

from gcl.arguments import Recorded
from gcl.data import Batch, Dataset, Pairs, Query, Sampling
from gcl.errors import InputError, NoVectors
from gcl.losses.base import Kind, Objective, remembering

T = TypeVar("T")


@dataclass(frozen=True)
class Phase:
    """One optimiser step: of ``parameters``, on the sum of the named terms of ``losses``.

    Phases run in list order, once a batch each; phases of equal name share one optimiser. ``lr`` and
    ``weight_decay`` override those of the training settings.
    """

    name: str
    parameters: Iterable[nn.Parameter]
    losses: Callable[[Batch], dict[str, Tensor]]
    lr: float | None = None
    weight_decay: float | None = None


class Recommender(Recorded, nn.Module, ABC):
    """Base of all recommenders; keyword arguments of the constructor, their types and defaults, are the configuration.

    A trained model implements :meth:`losses` (or :meth:`phases`); a closed-form model returns no phases and implements
    :meth:`fit_closed`. For scoring a model implements :meth:`tables`, or :meth:`queries` and :meth:`items`, or
    :meth:`scores` alone.
    All state that training changes lives in parameters and registered buffers.
    """

    sampling: Sampling = Pairs()
    needs: ClassVar[frozenset[Literal["time", "modalities", "columns"]]] = frozenset()
    answers: ClassVar[frozenset[Literal["users", "histories"]]] = frozenset({"users"})
    """Whom the model can answer: known users, and histories never seen in training."""
    objective_kinds: ClassVar[tuple[Kind, ...]] = ()
    """The kinds that the model's ``objective`` may have."""
    reference: ClassVar[str] = ""
    train_defaults: ClassVar[Mapping[str, Any]] = {}
    """What the model has as defaults in the section ``train``, in place of gcl's."""
    generator: torch.Generator | None = None
    """Source of the randomness of views and dropout, set by the training loop; None: torch's default."""

    def __init__(self, data: Dataset) -> None:
        super().__init__()
        self.arguments.pop("data", None)
        name = type(self).__name__
        objective = self.arguments.get("objective")
        if isinstance(objective, Objective) and objective.kind not in self.objective_kinds:
            raise InputError(
                f"objective of {name} must be of kind {' or '.join(self.objective_kinds)}, "
                f"got {type(objective).__name__} of kind {objective.kind}; `gcl losses` lists them by kind."
            )
        if "time" in self.needs and not data.ordered:
            raise InputError(
                f"{name} needs the order of interactions, and {data.name!r} has no time column; choose a data set with "
                "one, or set data.ordered=true if the rows of each user stand in time order."
            )
        if "modalities" in self.needs and not data.modalities:
            raise InputError(
                f"{name} needs item modalities, and {data.name!r} has none; choose a data set with features, or give "
                "some: data.modalities={image: image.npy} (of columns: {text: {columns: [title]}})."
            )
        self.num_users, self.num_items = data.num_users, data.num_items
        self._kept: dict[str, tuple[Any, Any]] = {}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named, weighted terms, each mean-reduced; their sum is minimised."""
        raise InputError(
            f"{type(self).__name__} has no losses; write losses(batch), or fit_closed(data) and no phases."
        )

    def phases(self) -> list[Phase]:
        """The optimiser steps of one batch."""
        return [Phase("main", list(self.parameters()), self.losses)]

    def fit_closed(self, data: Dataset) -> None:
        """Fit in closed form; called once in place of epochs when :meth:`phases` is empty."""
        raise InputError(f"{type(self).__name__} has no closed form; write fit_closed(data), or give it phases.")

    def tables(self) -> tuple[Tensor, Tensor]:
        """What every user and every item looks like, [num_users, d] and [num_items, d], where users have vectors."""
        raise NoVectors(f"{type(self).__name__} scores items directly and has no vectors.")

    def queries(self, query: Query) -> Tensor:
        """What users or histories look like, [B, d]."""
        return self.kept("tables", self.tables)[0].index_select(0, self.users_of(query))

    def items(self) -> Tensor:
        """What every item looks like, [num_items, d]."""
        return self.kept("tables", self.tables)[1]

    def scores(self, query: Query) -> Tensor:
        """Score of every item for every row of the query, [B, num_items]."""
        return self.queries(query) @ self.items().T

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Hook before an epoch, counted from 1; what it changes is in registered buffers."""

    def after_step(self, step: int) -> None:
        """Hook after all phases of a batch; what it changes is in registered buffers."""

    def users_of(self, query: Query) -> Tensor:
        """The known users of a query, [B]; an error for histories alone."""
        if query.users is None:
            raise InputError(
                f"{type(self).__name__} knows only the users it was trained on and cannot answer a history; "
                "name users, or choose a model that folds histories in (EASE, Popularity)."
            )
        return query.users

    def check(self, **values: float) -> None:
        """An error for a setting below 0: weights and penalties that are negative would be maximised."""
        for name, value in values.items():
            if value < 0:
                raise InputError(f"{name} of {type(self).__name__} must not be negative, got {value}.")

    def check_forgetful(self, objective: Objective) -> None:
        """An error for an objective that remembers its calls: this model makes several a step, between other things."""
        kept = remembering(objective)
        if kept:
            raise InputError(
                f"objective of {type(self).__name__} is called several times a step and must not remember its calls, "
                f"got {type(objective).__name__} (memory: {', '.join(kept)}); choose one without queue or running mean."
            )

    def train(self, mode: bool = True) -> Self:
        """As in torch; what was kept for scoring is forgotten."""
        self._kept.clear()
        return super().train(mode)

    def kept(self, name: str, compute: Callable[[], T]) -> T:
        """``compute()``, remembered while the model is in eval mode, without gradient, and no parameter changes.

        Fused optimisers change parameters without a new version: a call of :meth:`train` forgets as well.
        """
        if self.training or torch.is_grad_enabled():
            return compute()
        state = tuple((p.data_ptr(), p._version) for p in (*self.parameters(), *self.buffers()))
        if name not in self._kept or self._kept[name][0] != state:
            self._kept[name] = (state, compute())
        return self._kept[name][1]
