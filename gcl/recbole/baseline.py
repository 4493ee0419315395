"""RecBole's models as recommenders of gcl: trained by RecBole on gcl's split, scored by gcl's evaluator."""

import inspect
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from gcl.data import Dataset, Query
from gcl.errors import InputError
from gcl.evaluation.protocol import check_cutoffs
from gcl.recbole import frozen, given, names
from gcl.recbole.enclosure import enclosed
from gcl.recbole.trainer import Trained, train
from gcl.recommenders import Recommender
from gcl.training import device as devices
from gcl.training.seeds import initialising

PAIRS = 1 << 16
"""Pairs scored at once by models that score no whole catalogue."""
CLOSED = ("NCEPLRec",)
"""Models of RecBole's type general that are computed in their constructor like those of its type traditional."""
FROZEN = "frozen."
LEARNERS = Literal["adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam"]
"""What RecBole's ``learner`` may be; it takes Adam, without a word in a report, for any other."""
RECBOLE = {"epochs": 300, "batch_size": 2048, "lr": 1e-3, "patience": 11, "eval_every": 1, "metric": "mrr@10"}
"""RecBole's defaults in gcl's section ``train``; its ``stopping_step`` 10 stops at the eleventh evaluation."""


class Baseline(Recommender):
    """A model of RecBole; ``gcl.recbole.ItemKNN`` and the others are its subclasses, arguments RecBole's own settings.

    It is RecBole's with its peculiarities: ``Pop`` counts the sampled negatives of its batches too, and an item once a
    batch. It is trained by :meth:`fit_recbole`, not by gcl's loop. Users and items are those of the data set, items
    without a train row included. Scoring needs recbole; models that RecBole computes in their constructor are stored
    as what they score with and are not computed again.
    """

    family: ClassVar[str] = "general"
    train_defaults: ClassVar[Mapping[str, Any]] = RECBOLE

    def __init__(self, data: Dataset) -> None:
        super().__init__(data)
        self.source = data
        self.inner: nn.Module | None = None
        self.width = int(self.arguments.get("MAX_ITEM_LIST_LENGTH", 1))

    def phases(self) -> list[Any]:
        """None: RecBole's trainer takes the steps."""
        return []

    def fit_closed(self, data: Dataset) -> None:
        """An error: gcl's loop does not train it."""
        raise InputError(
            f"{type(self).__name__} is RecBole's and is trained by RecBole: gcl train {type(self).__name__} DATASET "
            "--engine recbole, or gcl.recbole.fit."
        )

    def fit_recbole(self, settings: Mapping[str, Any], seed: int = 0, device: str | torch.device = "cpu") -> Trained:
        """Train in RecBole's trainer on train, chosen by RecBole on valid; ``settings`` is the section ``train``.

        Negatives, loaders, loss, early stopping and the metric on valid (full ranking; train items left out by general
        models, nothing by sequential ones) are RecBole's. The random numbers of the process are put back after.
        """
        with enclosed(seed):
            config = self._config(settings, seed, torch.device(device))
            loaders = given.loaders(config, self.source)
            self.inner = config.model_class(config, loaders.dataset).to(config["device"])
            return train(config, self.inner, loaders, str(settings["metric"]))

    def scores(self, query: Query) -> Tensor:
        """RecBole's scores without its padding item, [B, num_items]; random parts of a score are drawn alike always."""
        if self.inner is None:
            raise InputError(f"{type(self).__name__} is not trained yet; use gcl.recbole.fit or gcl.recbole.baseline.")
        inner: Any = self.inner
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            asked = self._interaction(query)
            bare = import_module("recbole.model.abstract_recommender").AbstractRecommender.full_sort_predict
            by_pairs = type(inner).full_sort_predict is bare  # not caught: torch, too, raises NotImplementedError
            found = self._by_pairs(asked, len(query)) if by_pairs else inner.full_sort_predict(asked)
        return torch.as_tensor(found).reshape(len(query), -1)[:, 1:].float()

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The weights, or of a model computed in its constructor what it scores with."""
        if self.inner is not None and self._frozen:
            return {FROZEN + name: tensor for name, tensor in frozen.pack(self.inner).items()}
        return super().state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Stand where :meth:`state_dict` was taken; RecBole's model is built here."""
        with enclosed(0):
            config = self._config({**RECBOLE, "weight_decay": 0.0}, 0, torch.device("cpu"))
            dataset = given.dataset(config, self.source).build()[0]
            if self._frozen:
                tensors = {name.removeprefix(FROZEN): tensor for name, tensor in state_dict.items()}
                self.inner = frozen.unpack(config.model_class, config, dataset, tensors)
                return None
            self.inner = config.model_class(config, dataset)
        return super().load_state_dict(state_dict, strict, assign)

    @property
    def _frozen(self) -> bool:
        with enclosed(0):  # its import may change torch for the whole process
            kind = import_module("recbole.utils").get_model(type(self).__name__).type.name
        return kind == "TRADITIONAL" or type(self).__name__ in CLOSED

    def _config(self, settings: Mapping[str, Any], seed: int, device: torch.device) -> Any:
        keys = names.keys(type(self).__name__)
        own = {keys.get(argument, argument): value for argument, value in self.arguments.items()}
        return given.configure(type(self).__name__, own, settings, seed, device)

    def _interaction(self, query: Query) -> Any:
        """The query in RecBole's terms."""
        assert self.inner is not None
        fields: dict[str, Tensor] = {}
        inner: Any = self.inner
        if query.users is not None:
            fields[inner.USER_ID] = query.users + 1
        if self.family == "sequential":
            if query.history is None or query.length is None:
                raise InputError(f"{type(self).__name__} reads histories, and the query has users alone.")
            fields[inner.ITEM_SEQ], fields[inner.ITEM_SEQ_LEN] = given.latest(query.history, query.length, self.width)
        if query.users is None and "histories" not in self.answers:
            self.users_of(query)
        return import_module("recbole.data.interaction").Interaction(fields)

    def _by_pairs(self, asked: Any, rows: int) -> Tensor:
        """Scores [rows * (items + 1)] of a model that scores pairs alone."""
        inner: Any = self.inner
        items = torch.arange(self.num_items + 1, device=inner.device)
        found = []
        for block in torch.arange(rows).split(max(1, PAIRS // len(items))):
            pairs = asked[block].repeat_interleave(len(items))
            pairs.update(type(asked)({inner.ITEM_ID: items.repeat(len(block))}))
            found.append(inner.predict(pairs).flatten())
        return torch.cat(found)


@cache
def model(name: str) -> type[Baseline]:
    """RecBole's model ``name`` as a recommender; its constructor's arguments are RecBole's settings and defaults.

    Raises:
        InputError: an unknown model (with the nearest), or one that needs more than interactions.
    """
    family = names.check(name)
    settings = names.defaults(name)

    def __init__(self: Baseline, data: Dataset, **_: Any) -> None:
        Baseline.__init__(self, data)

    positional, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    hints = {key: LEARNERS if key == "learner" else _hint(value) for key, value in settings.items()}
    made: Any = __init__
    made.__signature__ = inspect.Signature(
        [inspect.Parameter(n, positional) for n in ("self", "data")]
        + [inspect.Parameter(k, keyword, default=v, annotation=hints[k]) for k, v in settings.items()]
    )
    made.__annotations__ = {"data": Dataset, **hints, "return": None}
    histories = family == "sequential" and not names.needs_users(name)
    body = {
        "__init__": __init__,
        "__module__": "gcl.recbole",
        "__doc__": f"RecBole's {name}, {family}, trained by RecBole; arguments are RecBole's own settings.",
        "family": family,
        "needs": frozenset({"time"}) if family == "sequential" else frozenset(),
        "answers": frozenset({"users", "histories"} if histories else {"users"}),
        "reference": "RecBole 1.2.1",
    }
    return type(name, (Baseline,), body)


def baseline(name: str, data: Dataset, *, seed: int = 0, device: str = "cpu", **config: Any) -> Baseline:
    """RecBole's model ``name`` trained by RecBole on gcl's split: a scorer for :func:`gcl.evaluate`.

    ``config`` holds RecBole's settings under RecBole's names: those of the model (``k=100``), and ``epochs``,
    ``train_batch_size``, ``learning_rate``, ``weight_decay``, ``eval_step``, ``stopping_step``, ``valid_metric``.

    Raises:
        InputError: an unknown model or setting (with the nearest), a setting that gcl's split or evaluator decides,
            a sequential model on data without time.
    """
    from gcl import build
    from gcl.config import check_train

    chosen = devices.choose(device)
    train_settings, own = translated(config)
    if "metric" in train_settings:
        check_cutoffs(int(train_settings["metric"].partition("@")[2]), data.num_items)
    with initialising(seed):
        made = build.create(f"gcl.recbole:{name}", data, own)
    assert isinstance(made, Baseline)
    section = check_train({**RECBOLE, **train_settings}, name)
    made.fit_recbole(section, seed, chosen)
    return made


TRAIN = {
    "epochs": "epochs",
    "train_batch_size": "batch_size",
    "learning_rate": "lr",
    "weight_decay": "weight_decay",
    "eval_step": "eval_every",
}
"""RecBole's settings of training -> gcl's, of equal meaning."""
DECIDED = {
    **dict.fromkeys(("eval_args", "load_col", "benchmark_filename", "data_path", "dataset", "val_interval"), "data"),
    **dict.fromkeys(("user_inter_num_interval", "item_inter_num_interval", "rm_dup_inter", "repeatable"), "data"),
    **dict.fromkeys(("metrics", "topk", "eval_batch_size", "metric_decimal_place"), "evaluation"),
    **dict.fromkeys(("gpu_id", "use_gpu", "seed", "reproducibility", "checkpoint_dir", "state"), "run"),
}
"""RecBole's settings that have no meaning here -> what decides in their place."""


def translated(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """RecBole's settings as the section ``train``, and those of the model.

    Raises:
        InputError: a setting that gcl decides, a metric on valid that gcl has no name for.
    """
    section: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for key, value in config.items():
        if key in DECIDED:
            raise InputError(
                f"{key} has no meaning here: gcl's {DECIDED[key]} decides it (arguments of gcl.load, gcl.evaluate, "
                "and seed, device of this call)."
            )
        if key in TRAIN:
            section[TRAIN[key]] = value
        elif key == "stopping_step":
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InputError(f"stopping_step must be a whole number from 0, got {value!r}.")
            section["patience"] = value + 1
        elif key == "valid_metric":
            section["metric"] = _metric(value)
        else:
            own[names.argument(key)] = value
    return section, own


def _metric(value: str) -> str:
    """gcl's name of a metric of RecBole, ``NDCG@10``."""
    metric, _, k = str(value).partition("@")
    known = {theirs.lower(): ours for ours, theirs in given.METRICS.items()}
    if metric.lower() not in known or not k.isdecimal():
        valid = ", ".join(f"{theirs}@10" for theirs in given.METRICS.values())
        raise InputError(f"valid_metric must be one of {valid} (at any cut-off), got {value!r}.")
    return f"{known[metric.lower()]}@{k}"


def _hint(value: Any) -> Any:
    """What a setting may be, by its default."""
    if isinstance(value, bool):
        return bool
    if isinstance(value, (int, float)):
        return int | float
    if isinstance(value, list):
        return list[Any]
    return str if isinstance(value, str) else Any
