"""The loop of pre-training: a method learns an encoder from graphs, without labels."""

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gcl.data.graphs import Graphs
from gcl.errors import Interrupted
from gcl.recommenders import Phase
from gcl.training import checkpoint
from gcl.training.board import Board
from gcl.training.device import deterministic, fabric
from gcl.training.pretrain_config import PretrainSettings
from gcl.training.progress import Reporter
from gcl.training.run import RunDirectory
from gcl.training.seeds import borrowed, derive, generators
from gcl.training.signals import Signals
from gcl.training.steps import Steps
from gcl.training.watch import Watch
from gcl.views.batches import take_nodes
from gcl.views.subgraph import neighbours, walk

if TYPE_CHECKING:
    from torch_geometric.data import Data

GRAPHS = 128
"""Graphs of a step where nothing else is asked for."""


def num_batches(graphs: Graphs, settings: PretrainSettings) -> int:
    """How many :func:`batches` gives."""
    total = int(graphs.data.num_nodes) if graphs.level == "node" else len(graphs)
    size = settings.batch_size or (total if graphs.level == "node" else GRAPHS)
    whole, rest = divmod(total, size)
    return whole + (rest > 1 or rest == total)


def batches(
    graphs: Graphs, settings: PretrainSettings, device: torch.device, generator: torch.Generator
) -> Iterator["Data"]:
    """The batches of one epoch, in an order drawn from ``generator``; a last batch of one thing is left out."""
    size = settings.batch_size
    if graphs.level == "node" and (size is None or size >= int(graphs.data.num_nodes)):
        yield graphs.data
        return
    from torch_geometric.data import Batch

    total = int(graphs.data.num_nodes) if graphs.level == "node" else len(graphs)
    order = torch.randperm(total, generator=generator, device=device)
    links = neighbours(graphs.data.edge_index, total) if graphs.level == "node" else None
    for chosen in order.split(size or GRAPHS):
        if len(chosen) == 1 and total > 1:
            continue
        if links is None:
            yield Batch.from_data_list([graphs.graphs[at] for at in chosen.tolist()])
        else:
            path = walk(links, chosen, settings.walk, generator)
            yield take_nodes(graphs.data, torch.unique(path))


def embed(method: Any, graphs: Graphs, device: torch.device) -> Tensor:
    """Embeddings of all nodes [N, d] of the clean graph, or of all graphs [G, d], on the CPU."""
    if graphs.level == "node":
        return method.embed(graphs.data.to(device)).cpu()
    from torch_geometric.data import Batch

    parts = [graphs.graphs[at : at + GRAPHS] for at in range(0, len(graphs), GRAPHS)]
    return torch.cat([method.embed(Batch.from_data_list(list(part)).to(device)).cpu() for part in parts])


class Pretrainer:
    """Trains a method on graphs. Its state can be written down after an epoch, and taken up there.

    ``told``: all that decides the numbers, which a run must share with the one that it continues.
    """

    def __init__(
        self,
        method: nn.Module,
        graphs: Graphs,
        settings: PretrainSettings,
        run: RunDirectory,
        seed: int,
        device: torch.device,
        precision: str,
    ) -> None:
        self.method, self.settings, self.run, self.seed = method.to(device), settings, run, seed
        moved = [g.to(device) for g in graphs.graphs]
        self.graphs = Graphs(graphs.name, moved, graphs.level)
        self.device, self.fabric = device, fabric(device, precision)
        self.own = generators(seed, device)
        self.epoch = self.step = self.stale = 0
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self.seconds = 0.0
        self.loss = math.nan
        told: Any = method
        if hasattr(told, "begin"):
            told.begin(settings.epochs * num_batches(graphs, settings))
        self.steps = Steps([self._phase(p) for p in told.phases()], settings, self.fabric)
        self.watch = Watch(device, {})

    def _phase(self, phase: Phase) -> Phase:
        """The phase, with losses of data alone: randomness comes from the generator of views."""
        losses: Callable[..., dict[str, Tensor]] = phase.losses
        lr, decay = getattr(phase, "lr", None), getattr(phase, "weight_decay", None)
        return Phase(phase.name, phase.parameters, lambda data: losses(data, self.own["views"]), lr, decay)

    def train(self, label: str, reporter: Reporter, taken: dict[str, Tensor] | None, facts: dict[str, Any]) -> None:
        """All epochs that are still to do; the weights are those of the last one, or of the best with ``patience``.

        Raises:
            Interrupted: SIGINT or SIGTERM; the epoch was finished and the state saved.
            NonFiniteLoss: a loss or gradient became NaN or infinite.
        """
        signals = Signals()
        with signals.listening(), deterministic(self.device), borrowed(self.device) as ambient:
            for name, generator in ambient.items():
                generator.manual_seed(derive(self.seed, f"ambient/{name}"))
            self.states = {**self.own, **ambient}
            self.rates = {name: a.param_groups[0]["lr"] for name, a in self.steps.optimisers.items()}
            if taken is not None:
                self._restore(taken, facts)
            board = Board(self.run.path, self.epoch + 1)
            try:
                self._epochs(label, reporter, board, signals)
            finally:
                board.close()
        if self.best is not None:
            self.loss = self.best[0]
            self.method.load_state_dict(self.best[1])

    def _epochs(self, label: str, reporter: Reporter, board: Board, signals: Signals) -> None:
        began = saved = time.monotonic()
        before = self.seconds
        self.reporter = reporter
        reporter.start(label, self.settings.epochs, num_batches(self.graphs, self.settings), self.epoch, 0)
        while self.epoch < self.settings.epochs and self.stale < (self.settings.patience or math.inf):
            line = self._one_epoch()
            self.run.append(line)
            board.scalars(self.epoch, line)
            reporter.epoch(self.epoch, self.loss, "")
            self.seconds = before + time.monotonic() - began
            stopped = signals.number is not None
            if stopped or time.monotonic() - saved >= self.settings.checkpoint_seconds:
                self._save()
                saved = time.monotonic()
            if signals.number is not None:
                told = f"Stopped by a signal; {self.run.path} goes on with gcl pretrain --resume {self.run.path}"
                raise Interrupted(signals.number, told)

    def _one_epoch(self) -> dict[str, Any]:
        """One pass over the batches; what it cost."""
        self.epoch += 1
        self.method.train()
        self.watch.reset()
        hook: Any = self.method
        for name, adam in self.steps.optimisers.items():
            for group in adam.param_groups:
                group["lr"] = self.rates[name] * self._factor()
        for data in batches(self.graphs, self.settings, self.device, self.own["order"]):
            names, values = self.steps.run(data)
            self.step += 1
            self.watch.add(names, values, self.step)
            hook.after_step(self.step)
            self.reporter.step()
        self.watch.check()
        means = self.watch.means()
        last = f"loss/{self.steps.turns[-1].prefix}"  # an adversary's own terms rise where the method's fall
        self.loss = sum(value for name, value in means.items() if name.startswith(last))
        if self.settings.patience is not None:
            self._judge()
        report = getattr(hook, "report", None)
        learnt = {f"learnt/{name}": value for name, value in report(data).items()} if report is not None else {}
        return {"epoch": self.epoch, "step": self.step, "loss": self.loss, **means, **learnt}

    def _factor(self) -> float:
        """The learning rate of this epoch as a share of the full one."""
        done, warm = self.epoch - 1, self.settings.warmup
        if done < warm:
            return (done + 1) / warm
        if self.settings.schedule == "constant":
            return 1.0
        return 0.5 * (1.0 + math.cos(math.pi * (done - warm) / max(self.settings.epochs - warm, 1)))

    def _judge(self) -> None:
        if self.best is None or self.loss < self.best[0]:
            weights = {name: tensor.detach().clone() for name, tensor in self.method.state_dict().items()}
            self.best, self.stale = (self.loss, weights), 0
        else:
            self.stale += 1

    def _save(self) -> None:
        tensors = {f"model/{name}": tensor for name, tensor in self.method.state_dict().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in (self.best[1] if self.best else {}).items()}
        tensors |= {f"generator/{name}": generator.get_state() for name, generator in self.states.items()}
        for name, adam in self.steps.optimisers.items():
            for at, state in adam.state_dict()["state"].items():
                tensors |= {f"optimiser/{name}/{at}/{key}": tensor for key, tensor in state.items()}
        facts = {name: getattr(self, name) for name in ("epoch", "step", "stale", "seconds", "loss")}
        best = self.best[0] if self.best else None
        checkpoint.save(self.run.last, tensors, {**facts, "best": best, "mark": self.run.mark()})

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "generator": {}, "optimiser": {}}
        for path, tensor in tensors.items():
            kind, _, name = path.partition("/")
            parts[kind][name] = tensor
        self.method.load_state_dict(parts["model"])
        for name, generator in self.states.items():
            generator.set_state(parts["generator"][name])
        for name, adam in self.steps.optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for path, tensor in parts["optimiser"].items():
                if path.startswith(f"{name}/"):
                    at, key = path.removeprefix(f"{name}/").split("/")
                    state.setdefault(int(at), {})[key] = tensor
            adam.load_state_dict({**adam.state_dict(), "state": state})
        self.best = (facts["best"], parts["best"]) if facts["best"] is not None else None
        for name in ("epoch", "step", "stale", "seconds", "loss"):
            setattr(self, name, facts[name])
        self.run.rewind(facts["mark"])
