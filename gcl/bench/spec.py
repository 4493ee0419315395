"""The file of a comparison: models x objectives x data sets x seeds, and what each may cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gcl import grammar
from gcl.errors import InputError, nearest
from gcl.evaluation.metrics import METRICS
from gcl.signatures import settings as checked

Settings = dict[str, Any]
"""``key=value`` settings as ``gcl train`` takes them: bare keys are the model's, dotted ones of a section or a part."""


Seed = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(_Strict):
    """A model of the comparison; with several ``objectives``, a row for each, named ``SimGCL/DCL``."""

    model: str | None = Field(None, description="name or import path; by default the name of the entry")
    engine: Literal["gcl", "recbole"] = Field("gcl", description="whose model and loop")
    settings: Settings = Field({}, description="of every run, over the shared ones")
    without: list[str] = Field([], description="shared settings that the model does not take")
    objectives: list[str | dict[str, Any]] = Field([], description="a row for each, under the same trials")
    trials: list[Settings] = Field([], description="the grid: one run each on the first seed, the best on valid wins")
    seconds: float | None = Field(None, gt=0, description="most seconds of a run; one that reaches them is marked cut")
    run: list[str] = Field([], description="folders of finished runs, taken as they are")
    note: str = Field("", description="what the table is to say of the row")
    published: str | None = Field(None, description="name of the published row; by default the model's")


class Source(_Strict):
    """A data set, and settings of every run on it."""

    name: str
    settings: Settings = {}


class Bench(_Strict):
    """A comparison. Every run takes ``settings``, then ``trial`` or ``final``, then those of data set, model, trial."""

    title: str = ""
    datasets: list[Source] = Field(min_length=1, description="names or paths, or mappings of name and settings")
    models: dict[str, Entry] = Field(min_length=1, description="the rows, in order")
    metric: str = Field("ndcg@20", description="chooses epoch and trial on valid, and is tested for significance")
    show: list[str] = Field(["recall@10", "ndcg@10", "recall@20", "ndcg@20"], description="columns of the tables")
    seeds: list[Seed] = Field([0, 1, 2], min_length=1, description="of the winner; trials take the first")
    settings: Settings = Field({}, description="of all runs")
    trial: Settings = Field({}, description="of the runs that choose settings")
    final: Settings = Field({}, description="of the runs that are reported")
    budget: int | None = Field(None, ge=1, description="most trials that an entry may have")
    reference: list[str] = Field([], description="rows, one or several, that every other is tested against")
    tuned: bool = Field(False, description="start from configs/<model>/<dataset>.yaml where it is there")
    select: Literal["valid", "test"] = Field("valid", description="where trials are chosen; test only with parity")
    parity: bool = Field(False, description="repeat a published practice of choosing on test; every table says so")
    threads: int = Field(1, ge=1, description="of each run; sums are rounded by it, so it belongs to the comparison")
    device: str = "auto"
    precision: Literal["32", "bf16"] = "32"


def located(file: str | Path) -> Path:
    """The path itself, or where ``configs/bench`` has a comparison of this name: ``smoke``."""
    from gcl.data import share

    path = Path(file)
    shipped = share("configs", "bench", f"{file}.yaml")
    return shipped if not path.exists() and path.name == str(file) and shipped.is_file() else path


def read(path: str | Path) -> Bench:
    """The comparison in a YAML file, or of a name in ``configs/bench``.

    Raises:
        InputError: the file cannot be read or breaks a rule; file, key, rule and value are named.
    """
    path = located(path)
    return parse(grammar.read_file(path), str(path))


def parse(tree: Any, where: str) -> Bench:
    """The comparison that a mapping describes; ``where`` names it in errors."""
    if not isinstance(tree, Mapping):
        raise InputError(f"{where} must be a mapping with the keys datasets and models, got {tree!r}.")
    values = dict(tree)
    for key in ("datasets", "models"):
        if not values.get(key):
            raise InputError(f"{where}: {key} is missing or empty; name one at least.")
    values["datasets"] = _sources(values["datasets"], where)
    values["models"] = _entries(values["models"], where)
    if isinstance(values.get("reference"), str):
        values["reference"] = [values["reference"]]
    found = checked(Bench, values, where)
    _check(found, where)
    return found


def _sources(value: Any, where: str) -> list[Source]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        value = [value]
    told = [{"name": one} if isinstance(one, str) else one for one in value]
    return [checked(Source, _mapping(one, f"{where}: datasets"), f"{where}: datasets") for one in told]


def _entries(value: Any, where: str) -> dict[str, Entry]:
    entries = {}
    for name, told in _mapping(value, f"{where}: models").items():
        place = f"{where}: models.{name}"
        entry = dict(_mapping({} if told is None else told, place))
        if isinstance(entry.get("run"), str):
            entry["run"] = [entry["run"]]
        if isinstance(entry.get("seconds"), int):
            entry["seconds"] = float(entry["seconds"])
        entries[str(name)] = checked(Entry, entry, place)
    return entries


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must be a mapping, got {value!r}.")
    return value


def _check(bench: Bench, where: str) -> None:
    """The rules that hold between keys."""
    if bench.select == "test" and not bench.parity:
        raise InputError(
            f"{where}: select must be valid, got 'test': choosing on the part that is reported makes every figure too "
            "high. To repeat a published practice add parity: true; every table and row then says so."
        )
    if bench.parity and bench.select != "test":
        raise InputError(f"{where}: parity means choosing trials on test; add select: test, or remove parity.")
    for key, names in (("metric", [bench.metric]), ("show", bench.show)):
        for name in names:
            _check_metric(name, f"{where}: {key}")
    for key, settings in _layers(bench, where):
        if "train.metric" in settings:
            raise InputError(f"{key}: train.metric is the comparison's own, metric: {bench.metric}; remove it here.")
    for name, entry in bench.models.items():
        _check_entry(bench, entry, f"{where}: models.{name}")
    for key, names in (
        ("datasets", [s.name for s in bench.datasets]),
        ("seeds", [str(seed) for seed in bench.seeds]),
        ("reference", bench.reference),
    ):
        repeated = sorted({n for n in names if names.count(n) > 1})
        if repeated:
            raise InputError(f"{where}: {key} has {', '.join(repeated)} twice; keep one.")
    if bench.reference:
        from gcl.bench.plan import labels

        valid = [label for name, entry in bench.models.items() for label, _ in labels(name, entry)]
        for name in bench.reference:
            if name not in valid:
                raise InputError(f"{where}: reference {name!r} is no row. {nearest(name, valid)}")


def _check_metric(name: str, where: str) -> None:
    """A metric by its plain name: where candidates are sampled, tables add theirs to it."""
    kind, _, cutoff = name.partition("@")
    if kind not in METRICS or not cutoff.isdigit():
        raise InputError(
            f"{where} must be a metric and a cut-off, for instance ndcg@10, got {name!r}. {nearest(kind, METRICS)}"
        )


def _layers(bench: Bench, where: str) -> list[tuple[str, Settings]]:
    """All settings of a comparison and the keys that they stand under."""
    found = [(f"{where}: {key}", getattr(bench, key)) for key in ("settings", "trial", "final")]
    found += [(f"{where}: datasets, {source.name}", source.settings) for source in bench.datasets]
    for name, entry in bench.models.items():
        found.append((f"{where}: models.{name}.settings", entry.settings))
        found += [(f"{where}: models.{name}.trials", trial) for trial in entry.trials]
    return found


def _check_entry(bench: Bench, entry: Entry, place: str) -> None:
    if bench.budget is not None and len(entry.trials) > bench.budget:
        raise InputError(
            f"{place}.trials must have at most {bench.budget} trials, the budget of every model, got "
            f"{len(entry.trials)}; remove some, or raise budget for all."
        )
    shared = {key for layer in (bench.settings, bench.trial, bench.final) for key in layer}
    shared |= {key for source in bench.datasets for key in source.settings}
    for key in entry.without:
        if key not in shared:
            raise InputError(f"{place}.without: {key!r} is no shared setting. {nearest(key, shared)}")
    if bench.parity and entry.seconds is not None and len(entry.trials) > 1:
        raise InputError(f"{place}.seconds: a trial that is cut has no figure on test to choose by; remove seconds.")
    if any(isinstance(one, dict) and not isinstance(one.get("name"), str) for one in entry.objectives):
        raise InputError(f"{place}.objectives: every one needs a name, for instance {{name: DCL, temperature: 0.1}}.")
    if entry.run:
        given = [n for n in ("settings", "objectives", "trials", "seconds", "without") if getattr(entry, n)]
        if given or entry.engine != "gcl":
            raise InputError(
                f"{place}: run takes finished folders as they are, so {', '.join(given or ['engine'])} has no meaning "
                "beside it; remove one of them."
            )
        if len(bench.datasets) > 1:
            raise InputError(f"{place}.run belongs to one data set, and datasets has {len(bench.datasets)}; keep one.")
    if entry.engine == "recbole" and entry.objectives:
        raise InputError(f"{place}.objectives are gcl's, and a recbole model has none of them; remove them.")
