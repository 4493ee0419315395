"""One training from scratch that can be written down after any step, and taken up there."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gcl.data import Dataset, loader
from gcl.recommenders import Recommender
from gcl.training.seeds import derive, generators
from gcl.training.settings import TrainSettings
from gcl.training.steps import Steps
from gcl.training.watch import Watch, temperatures

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CHECK_EVERY = 50
"""Steps from one look at the device for values that are not finite to the next."""
AT_EPOCH = ("order", "negatives")
"""Generators that are drawn from at the beginning of an epoch only, for all of it."""


class Stage:
    """A model in training: its optimisers, generators, sums, and where it stands.

    ``epoch`` counts from 1 and is the one at work; ``batch`` steps of it are done, ``step`` steps in all.
    """

    def __init__(
        self,
        model: Recommender,
        data: Dataset,
        settings: TrainSettings,
        seed: int,
        fabric: "Fabric",
        ambient: Mapping[str, torch.Generator],
    ) -> None:
        self.model, self.device = model, fabric.device
        self.own = generators(seed, self.device)
        for name, generator in ambient.items():
            generator.manual_seed(derive(seed, f"ambient/{name}"))
        self.generators = {**self.own, **ambient}
        model.generator = self.own["views"]
        self.loader = loader(
            data, model.sampling, settings.batch_size, self.own["order"], negatives=self.own["negatives"]
        )
        self.steps = Steps(model.phases(), settings, fabric)
        fixed, self.learned = temperatures(model)
        self.watch = Watch(self.device, fixed)
        self.epoch, self.batch, self.step = 1, 0, 0
        self._begun = self._states()

    def __len__(self) -> int:
        """Steps of an epoch."""
        return len(self.loader)

    def run_epoch(self) -> Iterator[None]:
        """The steps of the epoch that are still to do, one a turn."""
        self.model.train()
        if not self.batch:
            self._begun = self._states()
            self.watch.reset()
            self.model.begin_epoch(self.epoch, self.own["views"])
        for batch in self.loader.epoch(self.batch):
            heat = {name: read() for name, read in self.learned.items()}
            names, values = self.steps.run(batch)
            self.batch += 1
            self.step += 1
            self.watch.add([*names, *heat], [*values, *heat.values()], self.step)
            self.model.after_step(self.step)
            if not self.step % CHECK_EVERY:
                self.watch.check()
            yield
        self.watch.check()

    def next_epoch(self) -> None:
        """Go on to the next epoch."""
        self.epoch, self.batch = self.epoch + 1, 0

    def facts(self) -> dict[str, Any]:
        """Where the stage stands, as JSON has it."""
        names = self.watch.names if self.batch else []
        return {"epoch": self.epoch, "batch": self.batch, "step": self.step, "sums": names}

    def tensors(self) -> dict[str, Tensor]:
        """All numbers of the stage: model, optimisers, generators, sums of the epoch."""
        self.watch.check()
        found = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, adam in self.steps.optimisers.items():
            for at, state in adam.state_dict()["state"].items():
                found |= {f"optimiser/{name}/{at}/{key}": tensor for key, tensor in state.items()}
        states = self._states()
        if self.batch:
            found["sums"] = self.watch.sums
            states |= {name: self._begun[name] for name in AT_EPOCH}
        return found | {f"generator/{name}": state for name, state in states.items()}

    def restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Stand where :meth:`facts` and :meth:`tensors` were taken."""
        self.epoch, self.batch, self.step = (facts[name] for name in ("epoch", "batch", "step"))
        self.model.load_state_dict(_under("model/", tensors))
        for name, adam in self.steps.optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for path, tensor in _under(f"optimiser/{name}/", tensors).items():
                at, key = path.split("/")
                state.setdefault(int(at), {})[key] = tensor
            adam.load_state_dict({**adam.state_dict(), "state": state})
        for name, generator in self.generators.items():
            generator.set_state(tensors[f"generator/{name}"])
        self._begun = self._states()
        if self.batch:
            self.watch.reset(facts["sums"], tensors["sums"], self.batch)

    def _states(self) -> dict[str, Tensor]:
        return {name: generator.get_state() for name, generator in self.generators.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
