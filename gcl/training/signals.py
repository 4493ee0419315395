"""SIGINT and SIGTERM: the step is finished, the state is saved, the process ends with 130 or 143."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
HANDLED = (signal.SIGINT, signal.SIGTERM)


class _Now(BaseException):
    """Raised out of a call that may be broken off anywhere."""


class Signals:
    """What was asked for by a signal since training began; ``number`` is None until then.

    Outside the main thread nothing is caught. A second signal is handled as if training had never begun to listen.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._breakable = False
        self._before: dict[int, Any] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch the signals inside, and put the handlers back after."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._caught) for number in HANDLED}
        try:
            yield
        finally:
            self._restore()

    def breaking(self, call: Callable[[], T]) -> T | None:
        """The result of a call that changes nothing; None where a signal came before its end."""
        if self.number is not None:
            return None
        try:
            try:
                self._breakable = True
                return call()
            finally:
                self._breakable = False
        except _Now:
            return None

    def _caught(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._restore()
        if self._breakable:
            self._breakable = False
            raise _Now

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
