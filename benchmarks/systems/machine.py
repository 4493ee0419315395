"""What a measurement was taken on, and waiting until nothing else runs there."""

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "numpy", "scipy", "polars", "pandas", "recbole", "torch_geometric")


def installed(package: str) -> str | None:
    """The version of a package, without importing it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe() -> dict[str, object]:
    """Processor, cores, system load and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: installed(name) for name in PACKAGES},
    }


def caption(machine: dict[str, object]) -> str:
    """One line of :func:`describe` to stand under a table."""
    shown = ", ".join(f"{name} {machine[name]}" for name in ("torch", "numpy", "recbole") if machine[name])
    processor = f"{machine['processor']}, {machine['cores']} cores, load {machine['load']} when it began"
    return f"{processor}; Python {machine['python']}, {shown}."


def commit(checkout: str) -> str:
    """The commit that a checkout stands at."""
    done = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def quiet(most: float = 1.5, minutes: float = 10.0) -> None:
    """Wait until the load of the last minute is below ``most``; give up waiting, and say so, after ``minutes``."""
    end = time.monotonic() + 60 * minutes
    while os.getloadavg()[0] >= most:
        if time.monotonic() > end:
            print(f"the load is still {os.getloadavg()[0]:.1f}; measuring all the same", flush=True)
            return
        time.sleep(10)
