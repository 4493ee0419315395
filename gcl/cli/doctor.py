"""``gcl doctor``: what this machine has, and what is missing."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from gcl.cli.console import Json, Output
from gcl.errors import InputError

PACKAGES = (
    "gcl-rec", "torch", "torch_geometric", "numpy", "scipy", "scikit-learn", "tensorboard", "recbole",
    "lightning-fabric", "safetensors", "pydantic", "pyyaml", "polars", "typer", "rich",
)  # fmt: skip
EXTRAS = {"faiss-cpu": "faiss", "matplotlib": "plots", "optuna": "tune", "sentence-transformers": "text"}


def doctor(json: Json = False) -> None:
    """Print versions, threads, devices, the state of recbole, data sets found and tuned settings."""
    out = Output(json)
    report = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {name: _version(name) for name in EXTRAS},
        "torch": _torch(),
        "recbole": _recbole(),
        "data": _data(),
        "configs": _configs(),
    }
    for section, content in report.items():
        if isinstance(content, dict):
            out.line(f"{section}:")
            for key, value in content.items():
                out.line(f"  {key}: {_shown(value)}")
        else:
            out.line(f"{section}: {_shown(content)}")
    out.emit(report)


def _shown(value: Any) -> str:
    if value is None:
        return "not found"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(name for name, found in value.items() if found) or "none found"
    return str(value)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _torch() -> dict[str, Any]:
    import torch

    cuda = torch.cuda.is_available()
    return {
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "mkl": torch.backends.mkl.is_available(),
        "cuda": torch.version.cuda if cuda else None,
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
    }


def _recbole() -> dict[str, Any]:
    """Installed or not, which of the packages beside it are newer than it was published for, and gcl's repairs."""
    limits = {"numpy": (2, 0), "setuptools": (81, 0), "torch": (2, 6)}
    newer = []
    for name, limit in limits.items():
        found = _version(name)
        if found is not None and tuple(int(x) for x in found.split(".")[:2] if x.isdecimal()) >= limit:
            newer.append(f"{name} {found}")
    return {
        "installed": _version("recbole"),
        "importable as published": find_spec("recbole") is not None and not newer,
        "newer than it was published for": newer,
        **_repairs(),
    }


def _repairs() -> dict[str, str]:
    """Whether ``gcl.recbole`` runs here, and why each repair was made or not."""
    try:
        from gcl.recbole import compat
    except InputError as error:
        return {"with gcl.recbole": str(error)}
    return {"with gcl.recbole": "runs"} | {f"repair of {name}": told for name, told in compat.report().items()}


def _data() -> dict[str, Any]:
    from gcl.data import cards
    from gcl.data.locate import cache, present

    found = {name: present(cards.find(name)) for name in cards.names()}
    return {
        "GCL_DATA": os.environ.get("GCL_DATA"),
        "cache": str(cache("")),
        "cards": {name: None if folder is None else str(folder) for name, folder in found.items()},
    }


def _configs() -> list[str]:
    from gcl.data import share

    folder = share("configs")
    return sorted(f"{p.parent.name}/{p.stem}" for p in folder.glob("*/*.yaml"))
