"""Exceptions that the whole package knows: what was asked for cannot be done, or was stopped."""

import difflib
from collections.abc import Collection, Iterable


class InputError(ValueError):
    """Bad input: a name, key, file, value or combination. The command line prints the message and exits with 2.

    The message names the argument, the rule, the value received and what to do.
    """


class NoVectors(InputError):
    """A model that scores items directly was asked for vectors."""


class Interrupted(Exception):
    """Training was stopped by a signal after its state was saved; ``exit_code`` is 128 + the signal's number."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


def nearest(name: str, valid: Iterable[str]) -> str:
    """``did you mean 'x'? `` and the valid names, for the end of a message about an unknown name."""
    names = sorted(valid)
    folded = {n.lower(): n for n in names}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.5)
    hint = f"Did you mean {folded[close[0]]!r}? " if close else ""
    return f"{hint}Valid: {', '.join(names)}."


def one_of(argument: str, value: str, valid: Collection[str]) -> None:
    """An error for a value that is none of the few valid ones."""
    if value not in valid:
        *most, last = (repr(name) for name in valid)
        raise InputError(f"{argument} must be {', '.join(most)} or {last}, got {value!r}.")


def unknown(keys: Collection[str], valid: Collection[str], owner: str) -> None:
    """An error for the first key that is not among the valid ones, with the nearest name."""
    for key in keys:
        if key not in valid:
            hint = nearest(str(key), valid) if valid else "It takes none."
            raise InputError(f"{owner} has no argument {str(key)!r}. {hint}")
