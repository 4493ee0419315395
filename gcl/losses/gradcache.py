"""Batches larger than the encoder's memory: representations first, their gradient, then the encoder chunk by chunk."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gcl.losses.base import Kind, Objective

Encode = Callable[[slice], Tensor]
"""Representations [r, d] of the rows of a slice."""


def cached_backward(
    objective: Objective, encoders: Sequence[Encode], rows: int, chunk: int, *inputs: Any, **options: Any
) -> Tensor:
    """Backpropagate an objective of the encoders' representations with one chunk's activations at a time.

    What is called is ``objective(*representations, *inputs, **options)``, or with their stack [V, rows, d] where the
    objective is of kind multiview, or with their tuple where it is of kind tuple.

    Gradients are added to the parameters of encoders and objective as by ``loss.backward()`` on the whole batch. Every
    chunk is encoded twice: without gradient, and again under the same random state, so that dropout agrees. Exact where
    an encoder treats rows alone (no batch normalisation). Gao et al., GradCache (RepL4NLP 2021).

    Args:
        objective: of any kind that takes representations [rows, d], one an encoder, in order.
        encoders: each maps a slice of rows to their representations.
        rows: size of the batch.
        chunk: rows encoded at a time.
        inputs: further positional inputs of the objective, for instance ids.
        options: further named inputs.

    Returns:
        The loss, without graph.

    Raises:
        ValueError: if ``rows`` or ``chunk`` is below 1.
    """
    if min(rows, chunk) < 1:
        raise ValueError(f"rows and chunk must be at least 1, got {rows} and {chunk}.")
    parts = [slice(s, min(s + chunk, rows)) for s in range(0, rows, chunk)]
    states = list[list[_State]]()
    leaves = list[Tensor]()
    for encode in encoders:
        kept, pieces = list[_State](), list[Tensor]()
        for part in parts:
            kept.append(_State())
            with torch.no_grad():
                pieces.append(encode(part))
        states.append(kept)
        leaves.append(torch.cat(pieces).requires_grad_())
    loss: Tensor = objective(*_arranged(objective.kind, leaves), *inputs, **options)
    loss.backward()
    for encode, kept, leaf in zip(encoders, states, leaves, strict=True):
        if leaf.grad is None:
            continue
        for part, state in zip(parts, kept, strict=True):
            with state.restored():
                again = encode(part)
            if again.requires_grad:
                again.backward(leaf.grad[part])
    return loss.detach()


def _arranged(kind: Kind, leaves: list[Tensor]) -> tuple[Any, ...]:
    """Representations, one an encoder, as an objective of this kind takes them."""
    if kind == "multiview":
        return (torch.stack(leaves),)
    return (tuple(leaves),) if kind == "tuple" else tuple(leaves)


class _State:
    """The random state of the CPU and, once CUDA is in use, of its current device."""

    def __init__(self) -> None:
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() and torch.cuda.is_initialized() else None

    def restored(self) -> "_Restored":
        """A context under this state; the state from before comes back at its end."""
        return _Restored(self)


class _Restored:
    def __init__(self, state: _State) -> None:
        self.state = state

    def __enter__(self) -> None:
        self.before = _State()
        _set(self.state)

    def __exit__(self, *_: object) -> None:
        _set(self.before)


def _set(state: _State) -> None:
    torch.set_rng_state(state.cpu)
    if state.cuda is not None:
        torch.cuda.set_rng_state(state.cuda)
