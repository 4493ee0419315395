"""Where training runs, in what precision, and how torch and memory are set meanwhile."""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gcl.errors import InputError, nearest

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed"}


def choose(device: str) -> torch.device:
    """``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        InputError: another name, or a device that this machine lacks.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdecimal())):
        raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}.")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device} is not here: torch sees {torch.cuda.device_count()} CUDA devices; use cpu.")
    return torch.device(device)


def fabric(device: torch.device, precision: str) -> "Fabric":
    """Lightning Fabric on one device: autocast and backward in the precision ``32`` or ``bf16``."""
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not known. {nearest(precision, PRECISIONS)}")
    from lightning_fabric import Fabric

    if device.type == "cpu":
        _keep_freed_memory()
    devices: Any = [device.index or 0] if device.type == "cuda" else 1
    return Fabric(accelerator=device.type, devices=devices, precision=PRECISIONS[precision])


@cache
def _keep_freed_memory() -> None:
    """Have glibc keep what a step frees for the next step, for the rest of the process.

    By default it hands large blocks back at once and the kernel clears their pages anew, in every step: on ml-100k 5 %
    of LightGCN's CPU time, 20 % of SASRec's, 35 % of VBPR's. The peak stays. Who sets ``MALLOC_...`` in the environment
    has chosen already.
    """
    trim_threshold, mmap_max = -1, -4  # numbers of malloc.h
    if platform.libc_ver()[0] == "glibc" and not any(name.startswith("MALLOC_") for name in os.environ):
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On the CPU, deterministic algorithms only; torch's settings are put back after."""
    before = (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled())
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = filled


def machine() -> dict[str, int | str]:
    """What the rounding of sums on the CPU depends on: ``threads``, version of ``torch``, ``cpu``."""
    return {"threads": torch.get_num_threads(), "torch": str(torch.__version__), "cpu": _cpu()}


@cache
def _cpu() -> str:
    """Vendor of the processor and the widest instructions that torch uses on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    known = (line.partition(":")[2].strip() for line in lines if line.startswith(("vendor_id", "CPU implementer")))
    return f"{next(known, platform.machine())} {torch.backends.cpu.get_cpu_capability()}"


def peak_mb(device: torch.device) -> float:
    """Peak memory so far in MB: of the device on CUDA, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
