"""The search for settings: every trial an ordinary run, proposed from those before it, chosen on valid."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcl.bench import pool
from gcl.bench import space as spaces
from gcl.bench.guards import require_here
from gcl.bench.job import Job, check_same, done
from gcl.bench.plan import NO_END, Cell, Row, place
from gcl.bench.records import record, value
from gcl.bench.space import Choice, Range, Space
from gcl.bench.spec import Entry, Source
from gcl.bench.winners import written
from gcl.bench.words import word
from gcl.config import Resolved, resolve
from gcl.errors import InputError
from gcl.training.files import write_json
from gcl.training.locks import locked
from gcl.training.select import chosen_metric

log = logging.getLogger("gcl.bench")


@dataclass(frozen=True)
class Trial:
    """A proposal and what came of it: ``value`` on valid, None where it failed, with the ``problem``."""

    number: int
    settings: dict[str, Any]
    value: float | None
    epochs: int
    problem: str | None
    run: str


@dataclass(frozen=True)
class Tuned:
    """``best`` of the ``trials`` by ``metric`` on valid; its settings are in ``config``, a file for ``--config``."""

    model: str
    dataset: str
    metric: str
    trials: tuple[Trial, ...]
    best: Trial
    config: Path


def tune(
    model: str,
    dataset: str,
    settings: Sequence[str] = (),
    *,
    space: Space | Path | None = None,
    trials: int = 20,
    plain: bool = False,
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
) -> Tuned:
    """Search settings by the tree-structured Parzen estimator (Bergstra et al., 2011) over runs in ``OUT/trial<n>``.

    The same command goes on where it was stopped: a finished trial is read, a stopped one continues, and a proposal
    depends on the seed and the trials before it alone. Settings that are given are not searched.

    Args:
        model, dataset: as ``gcl train`` takes them; the data set by name or path.
        settings: ``key=value`` texts that hold for every trial; ``train.metric`` is what is searched for.
        space: where to search; by default :func:`gcl.bench.space.of` the settings.
        trials: how many, those of earlier calls included.
        plain: leave the tuned file of the data set out.
        seed: of every trial's run, and of the proposals.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        out: the folder of the trials; by default ``runs/tune/<model>-<dataset>``.

    Raises:
        InputError: optuna is not installed, a wrong setting, nothing to search, a folder of another search, or no
            trial that could be trained.
    """
    if trials < 1:
        raise InputError(f"trials must be at least 1, got {trials}.")
    _optuna()
    if isinstance(space, Path):
        space = spaces.read(space)
    told = resolve(model, dataset, list(settings), plain=plain)
    given = {leaf.removeprefix("model.") for leaf, origin in told.origins.items() if origin == "command line"}
    chosen = {k: v for k, v in spaces.of(told).items() if k not in given} if space is None else space
    if not chosen:
        raise InputError(f"{model} has no argument whose range is known by its name; name a file with --space.")
    folder = Path(out) if out is not None else Path("runs/tune") / f"{model.split(':')[-1]}-{place(dataset)}"
    search = _Search(model, dataset, tuple(settings), chosen, plain, seed, device, folder)
    search.check()
    if told.data.get("train") is None:
        require_here(dataset)
    with locked(folder, wait=False):
        return search.run(trials)


def propose(space: Space, done: Iterable[Trial], seed: int, number: int) -> dict[str, Any]:
    """The settings of trial ``number`` given those before it; the same for the same arguments."""
    optuna = _optuna()
    axes = {name: _distribution(optuna, one) for name, one in space.items()}
    with _quiet(optuna):
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed * 100_003 + number)
        )
        for trial in done:
            study.add_trial(_told(optuna, trial, space, axes))
        found = study.ask(axes).params
    return {name: one.values[found[name]] if isinstance(one, Choice) else found[name] for name, one in space.items()}


@dataclass(frozen=True)
class _Search:
    """One search and its folder."""

    model: str
    dataset: str
    settings: tuple[str, ...]
    space: Space
    plain: bool
    seed: int
    device: str
    out: Path

    def check(self) -> None:
        """Every setting, before the first trial, at both ends of every range."""
        ends = [[c.values[0], c.values[-1]] if isinstance(c, Choice) else [c.low, c.high] for c in self.space.values()]
        for end in (0, 1):
            self.resolved(dict(zip(self.space, (pair[end] for pair in ends), strict=True)))

    def resolved(self, chosen: Mapping[str, Any]) -> Resolved:
        """The configuration of a trial."""
        words = [*self.settings, *(word(key, one) for key, one in chosen.items())]
        found = resolve(self.model, self.dataset, words, plain=self.plain)
        chosen_metric(found.train["metric"], found.evaluate, NO_END)
        return found

    def run(self, count: int) -> Tuned:
        """Everything that is still to do."""
        trials: list[Trial] = []

        def following() -> list[Job]:
            while len(trials) < count:
                cell = self.cell(len(trials), trials)
                problem = self.problem(cell.number)
                if not done(cell) and problem is None:
                    return [Job(cell, _threads(), self.device, "32", None)]
                trials.append(self.told(cell, problem))
            return []

        def finished(job: Job, problem: str | None) -> Iterable[Job]:
            if problem is not None and not problem.startswith(pool.GONE):
                facts = self.read(job.cell.number)
                write_json(self.file(job.cell.number), {**facts, "problem": problem})
            trials.append(self.told(job.cell, problem))
            _report(trials[-1], self.metric())
            return following()

        pool.run(following(), 1, finished)
        return self.best(trials)

    def cell(self, number: int, before: list[Trial]) -> Cell:
        """A trial: the settings that were proposed for it, now or before it was stopped."""
        if not self.file(number).is_file():
            chosen = propose(self.space, before, self.seed, number)
            self.out.mkdir(parents=True, exist_ok=True)
            write_json(self.file(number), {"settings": chosen})
        chosen = self.read(number)["settings"]
        if set(chosen) != set(self.space):
            raise InputError(
                f"{self.out} holds a search over {', '.join(sorted(chosen))}, not over "
                f"{', '.join(sorted(self.space))}; choose another --out."
            )
        for name, proposed in chosen.items():
            if not spaces.holds(self.space[name], proposed):
                raise InputError(
                    f"{self.out} holds a search with other values of {name}, {proposed!r} among them, and now it is to "
                    f"be {self.space[name]}; choose another --out."
                )
        row = Row(self.model, self.model, Entry.model_validate({}), Source(name=self.dataset))
        folder = self.out / f"trial{number}"
        made = Cell(row, "trial", number, self.seed, folder, chosen, self.resolved(chosen))
        check_same(made)
        return made

    def told(self, cell: Cell, problem: str | None) -> Trial:
        """What came of a trial."""
        found = None if problem is not None else record(cell, parity=False)
        reached = None if found is None else value(found, "valid", self.metric())
        epochs = 0 if found is None else found["epochs"]
        return Trial(cell.number, cell.settings, reached, epochs, problem, str(cell.folder))

    def best(self, trials: list[Trial]) -> Tuned:
        """The best of all trials, its settings written."""
        known = [trial for trial in trials if trial.value is not None]
        if not known:
            raise InputError(f"No trial of {self.model} on {self.dataset} could be trained: {trials[-1].problem}")
        best = max(known, key=lambda trial: (trial.value, -trial.number))
        config = self.out / f"{place(self.dataset)}.yaml"
        told = f"the best of {len(trials)} trials (gcl tune), seed {self.seed}"
        written(config, self.resolved(best.settings), f"{self.metric()} {best.value:.4f} on valid, {told}")
        return Tuned(self.model, self.dataset, self.metric(), tuple(trials), best, config)

    def metric(self) -> str:
        """What is searched for."""
        return str(self.resolved({}).train["metric"])

    def file(self, number: int) -> Path:
        """Where the proposal of a trial is kept."""
        return self.out / f"trial{number}.json"

    def read(self, number: int) -> dict[str, Any]:
        """The proposal of a trial."""
        return dict(json.loads(self.file(number).read_text(encoding="utf-8")))

    def problem(self, number: int) -> str | None:
        """What went wrong with a trial; it is not tried again, unless its process was killed."""
        return self.read(number).get("problem")


def _report(trial: Trial, metric: str) -> None:
    told = f"failed: {trial.problem}" if trial.value is None else f"valid {metric} {trial.value:.4f}"
    log.info("trial %d, %s: %s", trial.number, " ".join(word(*one) for one in trial.settings.items()), told)


def _distribution(optuna: Any, one: Range | Choice) -> Any:
    if isinstance(one, Choice):
        return optuna.distributions.CategoricalDistribution(list(range(len(one.values))))
    if one.whole:
        return optuna.distributions.IntDistribution(int(one.low), int(one.high), log=one.log)
    return optuna.distributions.FloatDistribution(one.low, one.high, log=one.log)


def _told(optuna: Any, trial: Trial, space: Space, axes: Mapping[str, Any]) -> Any:
    """A trial as optuna keeps it."""
    chosen = {
        name: one.values.index(trial.settings[name]) if isinstance(one, Choice) else trial.settings[name]
        for name, one in space.items()
    }
    state = optuna.trial.TrialState.FAIL if trial.value is None else optuna.trial.TrialState.COMPLETE
    return optuna.trial.create_trial(state=state, value=trial.value, params=chosen, distributions=dict(axes))


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Without optuna's own log lines."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise InputError("gcl tune needs optuna: pip install 'gcl-rec[tune]'.") from error
    return optuna


def _threads() -> int:
    import torch

    return torch.get_num_threads()
