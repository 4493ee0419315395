"""One root seed, one independent stream of random numbers a purpose."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gcl.errors import InputError

PURPOSES = ("order", "negatives", "views")
"""Streams that are drawn from in the course of a training; its other purposes are seeded anew at every use."""


def derive(seed: int, purpose: str) -> int:
    """A 63-bit seed of its own for a purpose: the head of SHA-256 of ``seed/purpose``."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed must be a whole number from 0, got {seed!r}.")
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "big") >> 1


def generators(seed: int, device: torch.device | str) -> dict[str, torch.Generator]:
    """A generator for each of ``PURPOSES``, on the device: what one of them draws does not move another."""
    return {purpose: torch.Generator(device).manual_seed(derive(seed, purpose)) for purpose in PURPOSES}


@contextmanager
def initialising(seed: int) -> Iterator[None]:
    """Models built inside start from the same numbers on every device; torch's own generator is put back after."""
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(derive(seed, "init"))
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


def ambient(device: torch.device) -> dict[str, torch.Generator]:
    """Torch's own generators, which layers such as dropout draw from: of the CPU, and of the device."""
    found = {"torch": torch.default_generator}
    if device.type == "cuda":
        torch.cuda.init()
        index = torch.cuda.current_device() if device.index is None else device.index
        found["cuda"] = torch.cuda.default_generators[index]
    return found


@contextmanager
def borrowed(device: torch.device) -> Iterator[dict[str, torch.Generator]]:
    """Torch's own generators for the time of a training; their states are put back after."""
    found = ambient(device)
    states = {name: generator.get_state() for name, generator in found.items()}
    try:
        yield found
    finally:
        for name, generator in found.items():
            generator.set_state(states[name])
