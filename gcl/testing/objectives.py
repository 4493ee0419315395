"""What every objective must hold."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gcl.losses import Objective

Inputs = Callable[[int, torch.Generator], tuple[tuple[Any, ...], dict[str, Any]]]
NUM_IDS, DIM = 64, 6


def check_objective(
    factory: Callable[[], Objective], inputs: Inputs | None = None, *, smooth: bool | None = None
) -> None:
    """Hold an objective against its contract.

    Args:
        factory: makes the objective; called several times.
        inputs: ``inputs(rows, generator)`` makes (positional inputs, options) of that many rows; by default what the
            objective's kind asks for, float64 of width 6, ids below 64.
        smooth: compare the gradient with finite differences; by default unless the objective is ``detached``. Turn off
            where the value has kinks.

    Raises:
        AssertionError: naming the rule that is broken.
    """
    objective = factory()
    make = inputs or (lambda rows, generator: (sample(objective, rows, generator), {}))
    rebuilt = type(objective)(**objective.arguments)
    assert type(rebuilt) is type(objective), "an objective must be buildable from its recorded arguments"
    assert isinstance(objective.describe(), dict), "describe() must return the slots, name -> what fills it"
    _check_value(factory, make)
    random = _draws(factory, make)
    if not random:
        _check_permutation(factory, make)
    _check_degenerate(factory, make)
    _check_precision(factory, make, compare=not random)
    if not objective.detached if smooth is None else smooth:
        _check_gradient(factory, make)


def sample(objective: Objective, rows: int, generator: torch.Generator) -> tuple[Any, ...]:
    """Random inputs of the objective's kind, float64."""

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    match objective.kind:
        case "pair":
            return draw(rows, DIM), draw(rows + 2 * objective.extra, DIM)
        case "multiview":
            return (draw(3, rows, DIM),)
        case "labelled":
            return draw(rows, DIM), torch.arange(rows) // 2
        case "ranking":
            return draw(rows), draw(rows, 3)
        case "tuple":
            return (tuple(draw(rows, DIM) for _ in range(objective.parts or 3)),)
        case "sets":
            return draw(rows, DIM), draw(rows + 1, DIM)


def _ready(factory: Callable[[], Objective], make: Inputs, dtype: torch.dtype = torch.float64) -> Objective:
    """The objective after one step of training, so that memories hold something; then the seed is set."""
    torch.manual_seed(0)
    objective = factory().build(NUM_IDS, DIM).to(dtype)
    inputs, options = make(8, torch.Generator().manual_seed(99))
    with torch.no_grad():
        objective(*_leaves(inputs, lambda t: t.to(dtype)), **_leaves(options, lambda t: t.to(dtype)))
    torch.manual_seed(1)
    return objective


def _draws(factory: Callable[[], Objective], make: Inputs) -> bool:
    """Whether the objective draws random numbers."""
    inputs, options = make(8, torch.Generator().manual_seed(0))
    values = []
    for seed in (1, 2):
        objective = _ready(factory, make)
        torch.manual_seed(seed)
        values.append(objective(*inputs, **options))
    return not torch.equal(*values)


def _leaves(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same structure with every floating tensor changed."""
    if isinstance(value, Tensor):
        return change(value) if value.is_floating_point() else value
    if isinstance(value, tuple):
        return tuple(_leaves(v, change) for v in value)
    if isinstance(value, dict):
        return {k: _leaves(v, change) for k, v in value.items()}
    return value


def _run(objective: Objective, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[Tensor, list[Tensor]]:
    """Loss and gradients of the floating inputs."""
    leaves: list[Tensor] = []

    def leaf(t: Tensor) -> Tensor:
        leaves.append(t.detach().clone().requires_grad_())
        return leaves[-1]

    loss = objective(*_leaves(inputs, leaf), **options)
    assert loss.dim() == 0, f"an objective must return a scalar, got shape {list(loss.shape)}"
    assert loss.requires_grad, "the loss must be attached to the graph"
    grads = torch.autograd.grad(loss, leaves, allow_unused=True)
    return loss.detach(), [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, grads, strict=True)]


def _finite(loss: Tensor, grads: list[Tensor], what: str) -> None:
    assert bool(torch.isfinite(loss)), f"the loss must be finite {what}, got {loss.item()}"
    assert all(bool(torch.isfinite(g).all()) for g in grads), f"gradients must be finite {what}"


def _check_value(factory: Callable[[], Objective], make: Inputs) -> None:
    """Finite, repeatable, moved by its inputs, and the mean of its rows."""
    inputs, options = make(8, torch.Generator().manual_seed(0))
    loss, grads = _run(_ready(factory, make), inputs, options)
    _finite(loss, grads, "on random inputs")
    assert any(bool(g.abs().sum() > 0) for g in grads), "no gradient reaches the inputs"
    rows = _ready(factory, make).rows(*inputs, **options)
    assert rows.dim() == 1, f"rows() must be one value a row, got shape {list(rows.shape)}"
    mean = "the loss must be the mean of rows(), for weights are chosen for means"
    torch.testing.assert_close(rows.mean(), loss, rtol=1e-9, atol=1e-12, msg=mean)
    again = _ready(factory, make)(*inputs, **options)
    assert torch.equal(again, loss), "equal states and inputs must give equal losses"


def _check_permutation(factory: Callable[[], Objective], make: Inputs) -> None:
    """The order of the rows of a batch means nothing."""
    objective = _ready(factory, make)
    inputs, options = make(7, torch.Generator().manual_seed(2))
    order = torch.randperm(7, generator=torch.Generator().manual_seed(3))

    def permute(t: Tensor) -> Tensor:
        axis = 1 if t.dim() == 3 else 0
        rest = torch.arange(7, t.shape[axis])
        return t.index_select(axis, torch.cat([order, rest]))

    def everywhere(value: Any) -> Any:
        if isinstance(value, Tensor):
            return permute(value)
        return tuple(everywhere(v) for v in value) if isinstance(value, tuple) else value

    before = objective(*inputs, **options)
    moved = {name: everywhere(value) for name, value in options.items()}
    after = _ready(factory, make)(*everywhere(inputs), **moved)
    torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-8, msg="permuting the batch must not change the loss")


def _check_degenerate(factory: Callable[[], Objective], make: Inputs) -> None:
    """One row, all rows equal, zero rows: finite, never NaN."""
    for rows in (1, 2):
        inputs, options = make(rows, torch.Generator().manual_seed(4))
        _finite(*_run(_ready(factory, make), inputs, options), f"in a batch of {rows}")
    for name, change in {"equal": torch.ones_like, "zero": torch.zeros_like}.items():
        inputs, options = make(6, torch.Generator().manual_seed(5))
        _finite(*_run(_ready(factory, make), _leaves(inputs, change), options), f"where all rows are {name}")
    inputs, options = make(6, torch.Generator().manual_seed(6))
    if _ready(factory, make).kind == "pair":
        ids = torch.arange(inputs[1].shape[0]).flip(0)
        _finite(*_run(_ready(factory, make), inputs[:2], {**options, "ids": ids}), "with ids")
        ids = torch.zeros(inputs[1].shape[0], dtype=torch.long)
        _finite(*_run(_ready(factory, make), inputs[:2], {**options, "ids": ids}), "where all rows are one thing")


def _check_precision(factory: Callable[[], Objective], make: Inputs, compare: bool) -> None:
    """float32 agrees with float64; bfloat16 inputs under autocast give a float32 result."""
    inputs, options = make(8, torch.Generator().manual_seed(7))
    exact, _ = _run(_ready(factory, make), inputs, options)
    single = _ready(factory, make, torch.float32)
    loss, grads = _run(single, _leaves(inputs, Tensor.float), _leaves(options, Tensor.float))
    _finite(loss, grads, "in float32")
    assert loss.dtype == torch.float32, f"float32 inputs must give a float32 loss, got {loss.dtype}"
    if compare:
        torch.testing.assert_close(loss.double(), exact, rtol=1e-3, atol=1e-4, msg="float32 must agree with float64")
    with torch.autocast("cpu", torch.bfloat16):
        loss, grads = _run(
            _ready(factory, make, torch.float32), _leaves(inputs, Tensor.bfloat16), _leaves(options, Tensor.bfloat16)
        )
    _finite(loss, grads, "in bfloat16 under autocast")
    assert loss.dtype == torch.float32, f"the loss must be float32 under autocast, got {loss.dtype}"


def _check_gradient(factory: Callable[[], Objective], make: Inputs) -> None:
    """The gradient is that of the value."""
    inputs, options = make(4, torch.Generator().manual_seed(8))
    flat: list[Tensor] = []

    def leaf(t: Tensor) -> Tensor:
        flat.append(t.clone().requires_grad_())
        return flat[-1]

    structure = _leaves(inputs, leaf)
    places = {id(t): i for i, t in enumerate(flat)}

    def value(*given: Tensor) -> Tensor:
        return _ready(factory, make)(*_leaves(structure, lambda t: given[places[id(t)]]), **options)

    right = torch.autograd.gradcheck(value, tuple(flat), atol=1e-5, rtol=1e-3, fast_mode=True)
    assert right, "the gradient must be that of the value"
