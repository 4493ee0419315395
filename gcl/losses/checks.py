"""Inputs of an objective held against its kind, and options against their shape, before anything is computed."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

CALLS = {
    "pair": "(z1 [B, d], z2 [M, d], ids [M] = None)",
    "multiview": "(views [V, B, d], ids [B] = None)",
    "labelled": "(z [B, d], labels [B])",
    "ranking": "(positive [B], negative [B, m])",
    "tuple": "(tuple of [B, d])",
    "sets": "(x [n, d], y [m, d])",
}
BUILT = "the ids that objective.build(num_ids, dim) made room for"


def check(name: str, kind: str, extra: bool, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Raise a ValueError that names the objective, its call and what was received, unless the inputs fit the kind."""
    problem = _CHECKS[kind](inputs, options, extra)
    if problem:
        raise ValueError(f"{name} is of kind {kind} and is called as {CALLS[kind]}: {problem}.")


def empty(kind: str, inputs: Sequence[Any]) -> bool:
    """Whether checked inputs hold no rows; of two samples, whether either does."""
    if kind == "multiview":
        return inputs[0].shape[1] == 0
    if kind == "tuple":
        return len(inputs[0][0]) == 0
    return min(len(x) for x in inputs[: 2 if kind == "sets" else 1]) == 0


def expect_numbers(arguments: Mapping[str, Any]) -> None:
    """Raise a ValueError for an argument that is not a number (NaN): comparisons with its bounds would let it pass."""
    for name, value in arguments.items():
        for x in value if isinstance(value, list | tuple) else (value,):
            if isinstance(x, float) and math.isnan(x):
                raise ValueError(f"{name} must be a number, got {value!r}.")


def expect(name: str, value: Any, shape: tuple[int | str, ...], meaning: str) -> None:
    """Raise a ValueError unless ``value`` is a tensor of this shape; a text in it stands for any size."""
    fits = isinstance(value, Tensor) and value.dim() == len(shape)
    if not fits or any(isinstance(n, int) and n != m for n, m in zip(shape, value.shape, strict=True)):
        wanted = ", ".join(str(n) for n in shape)
        raise ValueError(f"{name} must be [{wanted}], {meaning}, got {_shape(value)}.")


def expect_within(name: str, value: Tensor, low: float, high: float, meaning: str) -> None:
    """Raise a ValueError unless all numbers are finite, not below ``low`` and not above ``high``.

    Numbers on an accelerator are not looked at: the call would have to wait for them.
    """
    if value.device.type != "cpu" or not value.numel():
        return
    least, largest = (x.item() for x in value.detach().aminmax())
    if not (low <= least and largest <= high and math.isfinite(least) and math.isfinite(largest)):
        above = f"finite and at least {low}" if math.isfinite(low) else "finite"
        span = f"in {low} .. {high}" if math.isfinite(high) else above
        raise ValueError(f"{name} must be {span}, {meaning}, got {least:.9g} to {largest:.9g}.")


def expect_places(name: str, value: Tensor, count: int, meaning: str) -> None:
    """Raise a ValueError unless all numbers are whole and in 0 .. count - 1, as far as :func:`expect_within` looks."""
    if value.is_floating_point():
        raise ValueError(f"{name} must be whole numbers in 0 .. {count - 1}, {meaning}, got {value.dtype}.")
    expect_within(name, value, 0, count - 1, meaning)


def _shape(value: Any) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _matrices(inputs: tuple[Any, ...], count: int) -> str:
    if len(inputs) < count or any(not isinstance(x, Tensor) or x.dim() != 2 for x in inputs[:count]):
        return f"got {', '.join(_shape(x) for x in inputs) or 'nothing'}"
    return _floating("representations", *inputs[:count])


def _floating(what: str, *tensors: Tensor) -> str:
    if all(x.is_floating_point() for x in tensors):
        return ""
    return f"{what} must be floating point, got {', '.join(str(x.dtype) for x in tensors)}"


def _ids(inputs: tuple[Any, ...], options: dict[str, Any], at: int, count: int) -> str:
    ids = inputs[at] if len(inputs) > at else options.get("ids")
    if ids is None:
        return ""
    if not isinstance(ids, Tensor) or ids.dim() != 1 or ids.numel() != count:
        return f"ids must be [{count}], got {_shape(ids)}"
    return f"ids must be integers, got {ids.dtype}" if ids.is_floating_point() else ""


def _pair(inputs: tuple[Any, ...], options: dict[str, Any], extra: bool) -> str:
    problem = _matrices(inputs, 2)
    if problem:
        return problem
    z1, z2 = inputs[:2]
    if z1.shape[1] != z2.shape[1]:
        return f"z1 and z2 must have one width, got {_shape(z1)} and {_shape(z2)}"
    if z2.shape[0] < z1.shape[0]:
        return f"z2 must have at least the rows of z1, got {_shape(z1)} and {_shape(z2)}"
    if z2.shape[0] > z1.shape[0] and not extra:
        rule = "its formula has no place for further negatives, z2 must have the rows of z1"
        return f"{rule}, got {_shape(z1)} and {_shape(z2)}"
    return _ids(inputs, options, 2, z2.shape[0])


def _multiview(inputs: tuple[Any, ...], options: dict[str, Any], extra: bool) -> str:
    if not inputs or not isinstance(inputs[0], Tensor) or inputs[0].dim() != 3:
        return f"got {', '.join(_shape(x) for x in inputs) or 'nothing'}"
    if inputs[0].shape[0] < 2:
        return f"at least 2 views are needed, got {_shape(inputs[0])}"
    return _floating("views", inputs[0]) or _ids(inputs, options, 1, inputs[0].shape[1])


def _labelled(inputs: tuple[Any, ...], options: dict[str, Any], extra: bool) -> str:
    problem = _matrices(inputs, 1)
    if problem:
        return problem
    labels = inputs[1] if len(inputs) > 1 else options.get("labels")
    if not isinstance(labels, Tensor) or labels.dim() != 1 or labels.numel() != inputs[0].shape[0]:
        return f"labels must be [{inputs[0].shape[0]}], got {_shape(labels)}"
    return ""


def _ranking(inputs: tuple[Any, ...], options: dict[str, Any], extra: bool) -> str:
    positive, negative = (*inputs, None, None)[:2]
    fits = (
        isinstance(positive, Tensor)
        and isinstance(negative, Tensor)
        and positive.dim() == 1
        and negative.dim() == 2
        and positive.shape[0] == negative.shape[0]
    )
    if not fits:
        return f"got {', '.join(_shape(x) for x in inputs) or 'nothing'}"
    return _floating("scores", positive, negative)


def _tuple(inputs: tuple[Any, ...], options: dict[str, Any], extra: bool) -> str:
    parts = inputs[0] if inputs else None
    if not isinstance(parts, list | tuple) or len(parts) < 2:
        return f"a tuple of at least 2 tensors is needed, got {_shape(parts)}"
    shapes = ", ".join(_shape(x) for x in parts)
    return _matrices(tuple(parts), len(parts)) or (
        "" if len({x.shape[0] for x in parts}) == 1 else f"rows must be equal, got {shapes}"
    )


def _sets(inputs: tuple[Any, ...], options: dict[str, Any], extra: bool) -> str:
    problem = _matrices(inputs, 2)
    if problem:
        return problem
    x, y = inputs[:2]
    return "" if x.shape[1] == y.shape[1] else f"x and y must have one width, got {_shape(x)} and {_shape(y)}"


_CHECKS: dict[str, Callable[[tuple[Any, ...], dict[str, Any], bool], str]] = {
    "pair": _pair,
    "multiview": _multiview,
    "labelled": _labelled,
    "ranking": _ranking,
    "tuple": _tuple,
    "sets": _sets,
}
