"""One step of training: every phase in turn, each moving its own parameters alone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from gcl.data import Batch
from gcl.errors import InputError
from gcl.recommenders import Phase

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Rates(Protocol):
    """What an optimiser takes where a phase does not say."""

    @property
    def lr(self) -> float:
        """Learning rate."""
        ...

    @property
    def weight_decay(self) -> float:
        """L2 penalty."""
        ...


@dataclass(frozen=True)
class _Turn:
    """A phase with its parameters, its optimiser and what its values are called."""

    phase: Phase
    parameters: list[nn.Parameter]
    optimiser: torch.optim.Adam
    prefix: str


class Steps:
    """The phases of a model with their optimisers.

    Phases of equal name share one Adam. The backward pass of a phase reaches its own parameters only, so that nothing
    is left in the gradients of others. ``optimisers``: name -> Adam.
    """

    def __init__(self, phases: list[Phase], settings: Rates, fabric: "Fabric") -> None:
        self.fabric = fabric
        own = [[p for p in phase.parameters if p.requires_grad] for phase in phases]
        self.optimisers = _optimisers(phases, own, settings)
        names = [phase.name for phase in phases]
        self.turns = [
            _Turn(phase, parameters, self.optimisers[phase.name], _prefix(names, at))
            for at, (phase, parameters) in enumerate(zip(phases, own, strict=True))
        ]

    def run(self, batch: Batch) -> tuple[list[str], list[Tensor]]:
        """Every phase on one batch: names and values of terms and gradient norms, on the device."""
        names, values = list[str](), list[Tensor]()
        for turn in self.turns:
            with self.fabric.autocast():
                terms = turn.phase.losses(batch)
                total = torch.stack(list(terms.values())).sum()
            self.fabric.backward(total, inputs=turn.parameters)
            gradients = [p.grad for p in turn.parameters if p.grad is not None]
            norm = nn.utils.get_total_norm(gradients) if gradients else total.new_zeros(())
            turn.optimiser.step()
            torch.autograd.graph.increment_version(turn.parameters)  # the fused step does not
            turn.optimiser.zero_grad(set_to_none=True)
            names += [f"loss/{turn.prefix}{name}" for name in terms] + [f"gradient/{turn.prefix}norm"]
            values += [*terms.values(), norm]
        return names, values


def _optimisers(phases: list[Phase], own: list[list[nn.Parameter]], settings: Rates) -> dict[str, torch.optim.Adam]:
    """One fused Adam a name, over the parameters of all phases of that name."""
    rates: dict[str, tuple[float, float]] = {}
    together: dict[str, dict[int, nn.Parameter]] = {}
    for phase, parameters in zip(phases, own, strict=True):
        lr = settings.lr if phase.lr is None else phase.lr
        decay = settings.weight_decay if phase.weight_decay is None else phase.weight_decay
        if not parameters:
            raise InputError(f"phase {phase.name!r} has no parameter to train; leave it out of phases().")
        if rates.setdefault(phase.name, (lr, decay)) != (lr, decay):
            raise InputError(
                f"phases named {phase.name!r} share one optimiser and must have one lr and weight_decay, got "
                f"{rates[phase.name]} and {(lr, decay)}; give them different names."
            )
        together.setdefault(phase.name, {}).update({id(p): p for p in parameters})
    return {
        name: torch.optim.Adam(parameters.values(), lr=rates[name][0], weight_decay=rates[name][1], fused=True)
        for name, parameters in together.items()
    }


def _prefix(names: list[str], at: int) -> str:
    """Nothing for a single phase; else the phase's name, with its turn where the name comes again."""
    if len(names) == 1:
        return ""
    turn = names[: at + 1].count(names[at])
    return f"{names[at]}/" if turn == 1 else f"{names[at]} {turn}/"
