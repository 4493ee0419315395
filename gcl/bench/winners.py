"""Settings that were chosen, as files for ``--config`` and ``configs/<model>/<dataset>.yaml``."""

from pathlib import Path
from typing import Any

import yaml

from gcl.config import SECTIONS, Resolved
from gcl.training.files import write_text


def written(path: Path, config: Resolved, why: str, without: tuple[str, ...] = ()) -> None:
    """Write what is not at its default, by section, under a line that says where it comes from."""
    changed = {tuple(leaf.split(".")[:2]) for leaf, origin in config.origins.items() if origin != "default"}
    found: dict[str, Any] = {}
    for section in (s for s in SECTIONS if s not in without):
        values = {key: one for key, one in getattr(config, section).items() if (section, key) in changed}
        found |= {section: values} if values else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"# {config.name} on {config.dataset}: {why}.\n"
    write_text(path, head + yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120))
