"""Settings as words of the command line."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

PLAIN = re.compile(r"(?!true$|false$|null$)[A-Za-z_][\w@./-]*")


def word(key: str, value: Any) -> str:
    """``objective.temperature=0.1``; what is no number or plain name is written as JSON, which YAML reads."""
    plain = isinstance(value, str) and PLAIN.fullmatch(value)
    return f"{key}={value if plain else json.dumps(value, ensure_ascii=False)}"


def words(values: Mapping[str, Any]) -> str:
    """All settings on one line."""
    return " ".join(word(key, value) for key, value in values.items())


def shared(all_settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings that all have, with the same value."""
    if not all_settings:
        return {}
    return {k: v for k, v in all_settings[0].items() if all(k in other and other[k] == v for other in all_settings)}
