"""The one exception that means: what was asked for cannot be done, and the message says why and what to do."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: a name, key, file, value or combination. The command line prints the message and exits with 2.

    The message names the argument, the rule, the value received and what to do.
    """


def nearest(name: str, valid: Iterable[str]) -> str:
    """``did you mean 'x'? `` and the valid names, for the end of a message about an unknown name."""
    names = sorted(valid)
    folded = {n.lower(): n for n in names}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.5)
    hint = f"Did you mean {folded[close[0]]!r}? " if close else ""
    return f"{hint}Valid: {', '.join(names)}."
