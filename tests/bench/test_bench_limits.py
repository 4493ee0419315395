"""The limit of seconds: whenever it fires, the run is marked as cut or is done, and the process lives on."""

import signal
import threading

import pytest

from gcl.bench.limits import MARK, within


class FiresAtOnce(threading.Timer):
    """Has fired before ``start`` returns, as a limit that is over already may."""

    def start(self):
        super().start()
        self.join()


class FiresLast(threading.Timer):
    """Fires while it is cancelled, at the very end of training."""

    def start(self):
        self.interval = 3600.0
        super().start()

    def cancel(self):
        if not self.finished.is_set():
            self.function()
        super().cancel()


def test_fires_before_training_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(threading, "Timer", FiresAtOnce)
    before = signal.getsignal(signal.SIGTERM)
    within(1e-6, tmp_path, lambda: pytest.fail("training began after its limit"))
    assert (tmp_path / MARK).is_file()
    assert signal.getsignal(signal.SIGTERM) is before


def test_fires_as_training_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(threading, "Timer", FiresLast)
    before, called = signal.getsignal(signal.SIGTERM), []
    within(1.0, tmp_path, lambda: called.append(1))
    assert called
    assert not (tmp_path / MARK).exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_failure_is_passed_on(tmp_path):
    def fails():
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        within(60.0, tmp_path, fails)
    assert not (tmp_path / MARK).exists()
    assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer)]
