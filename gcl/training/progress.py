"""How a training tells people where it is: a live bar on a terminal, plain lines on stderr elsewhere."""

import sys
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.progress import Progress


class Reporter:
    """Says nothing; the base of those that speak, used as a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, label: str, epochs: int, steps: int, epoch: int, batch: int) -> None:
        """A stage begins: ``epochs`` of ``steps`` steps, of which ``epoch`` epochs and ``batch`` steps are done."""

    def step(self) -> None:
        """One step is done."""

    def epoch(self, epoch: int, loss: float, told: str) -> None:
        """An epoch is done; ``told`` holds its metric, where it was evaluated."""

    def say(self, text: str) -> None:
        """A line."""

    def stop(self) -> None:
        """The end."""


class Lines(Reporter):
    """A line an epoch, on stderr."""

    def start(self, label: str, epochs: int, steps: int, epoch: int, batch: int) -> None:
        """Say what begins."""
        self.epochs, self.done, self.label = epochs, epoch, label
        self.since = time.monotonic()
        self.say(f"{label}: {epochs} epochs of {steps} steps" + (f", {epoch} done" if epoch or batch else ""))

    def epoch(self, epoch: int, loss: float, told: str) -> None:
        """Loss, metric and time left."""
        spent = time.monotonic() - self.since
        left = spent / max(epoch - self.done, 1) * (self.epochs - epoch)
        parts = [f"epoch {epoch}/{self.epochs}", f"loss {loss:.4f}", *([told] if told else []), f"{_clock(left)} left"]
        self.say("  ".join(parts))

    def say(self, text: str) -> None:
        """One line on stderr."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class Bar(Reporter):
    """A live bar with loss, metric and time left."""

    bar: "Progress | None" = None

    def start(self, label: str, epochs: int, steps: int, epoch: int, batch: int) -> None:
        """Draw the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.stop()
        self.total, self.told, self.pending, self.drawn = epochs, "", 0, time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, console=Console(stderr=True), refresh_per_second=4)
        self.bar.start()
        self.task = self.bar.add_task(label, total=epochs * steps, completed=epoch * steps + batch, told="")

    def step(self) -> None:
        """Move the bar, at most ten times a second."""
        self.pending += 1
        if time.monotonic() - self.drawn > 0.1:
            self._draw()

    def epoch(self, epoch: int, loss: float, told: str) -> None:
        """Show loss and metric."""
        self.told = told or self.told
        self._draw(told=f"{epoch}/{self.total}  loss {loss:.4f}  {self.told}")

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self.bar is not None:
            self.bar.console.print(text, markup=False, highlight=False)
        else:
            sys.stderr.write(text + "\n")

    def stop(self) -> None:
        """Leave the bar as it is."""
        if self.bar is not None:
            self._draw()
            self.bar.stop()
            self.bar = None

    def _draw(self, **fields: Any) -> None:
        assert self.bar is not None
        self.bar.update(self.task, advance=self.pending, **fields)
        self.pending, self.drawn = 0, time.monotonic()


def reporter(progress: bool) -> Reporter:
    """The one that fits: a bar where stderr is a terminal, lines where it is not, silence where it is not asked for."""
    if not progress:
        return Reporter()
    return Bar() if sys.stderr.isatty() else Lines()


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min"
