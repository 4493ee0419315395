"""gcl's recommenders as models of RecBole: its trainer, its loaders, its evaluator take them as its own."""

import copyreg
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from gcl import build
from gcl.data import Batch, Dataset, Interactions, Pairs, Query, Sequences, Split, TrainInteractions, query
from gcl.errors import InputError, unknown
from gcl.recommenders import Phase, Recommender
from gcl.signatures import parameters


class Bridge(nn.Module):
    """What the classes of :func:`as_recbole` share; RecBole's base class stands behind it."""

    kind: ClassVar[type[Recommender]]
    given_arguments: ClassVar[dict[str, Any]]
    family: ClassVar[str]
    negative_sampling: ClassVar[dict[str, Any]]
    """What RecBole's ``train_neg_sample_args`` must be for the model."""
    USER_ID: str
    ITEM_ID: str
    NEG_ITEM_ID: str
    ITEM_SEQ: str
    ITEM_SEQ_LEN: str

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.label = config["LABEL_FIELD"]
        self.data = from_recbole(dataset)
        self.model = self.kind(self.data, **self.given_arguments)
        self.phase = _only_phase(self.model)
        self.epoch, self.steps, self.fresh, self.pending = 0, 0, True, False

    def train(self, mode: bool = True) -> "Bridge":
        """As in torch: RecBole calls it where an epoch begins, and with False where an evaluation does."""
        super().train(mode)
        self.fresh = mode
        if not mode:
            self._settle()
        return self

    def calculate_loss(self, interaction: Any) -> Tensor | tuple[Tensor, ...]:
        """The named terms of the model's losses on RecBole's batch; RecBole minimises their sum."""
        self._settle()
        batch = self._pairs(interaction) if self.family == "general" else self._sequences(interaction)
        if self.fresh:
            self.fresh = False
            self.epoch += 1
            self.model.begin_epoch(self.epoch, _generator(batch.users.device))
        terms = tuple(self.phase.losses(batch).values())
        self.steps += 1
        self.pending = True
        return terms if len(terms) > 1 else terms[0]

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items, RecBole's padding item first at -inf, flat: [B * (num_items + 1)]."""
        found = self.model.scores(self._query(interaction))
        return torch.cat([found.new_full((len(found), 1), -torch.inf), found], 1).flatten()

    def predict(self, interaction: Any) -> Tensor:
        """Scores of the pairs, [B]."""
        items = (interaction[self.ITEM_ID] - 1)[:, None]
        if self.family == "sequential":
            return self.model.scores(self._query(interaction)).gather(1, items).squeeze(1)
        users, place = interaction[self.USER_ID].unique(return_inverse=True)
        scores = self.model.scores(self._query({self.USER_ID: users}))
        return scores[place, items.squeeze(1)]

    def _settle(self) -> None:
        """The hook after the step that was taken since the last call."""
        if self.pending:
            self.pending = False
            self.model.after_step(self.steps)

    def _query(self, interaction: Any) -> Query:
        users = interaction[self.USER_ID] - 1 if self.USER_ID in interaction else None
        if self.family == "general":
            assert users is not None
            return query(self.data, users.cpu(), "valid").to(users.device)
        length = interaction[self.ITEM_SEQ_LEN]
        return Query(users, (interaction[self.ITEM_SEQ] - 1).clamp(min=0), length)

    def _pairs(self, interaction: Any) -> Batch:
        """Users, items and negatives [B, m] of RecBole's rows, which repeat the batch once a negative."""
        sampling = self.model.sampling
        assert isinstance(sampling, Pairs)
        users, items = interaction[self.USER_ID] - 1, interaction[self.ITEM_ID] - 1
        if not sampling.negatives:
            rows = _positive(interaction, self.label)
            return Batch(users[rows], items[rows])
        times = sampling.negatives
        if len(users) % times or not bool((users.view(times, -1) == users[: len(users) // times]).all()):
            raise InputError(
                f"train_neg_sample_args.sample_num must be {times}, the negatives of {self.kind.__name__}; use "
                f"train_neg_sample_args={self.negative_sampling}."
            )
        size = len(users) // times
        return Batch(users[:size], items[:size], (interaction[self.NEG_ITEM_ID] - 1).view(times, size).T)

    def _sequences(self, interaction: Any) -> Batch:
        """RecBole's prefixes, one target a row."""
        sampling = self.model.sampling
        assert isinstance(sampling, Sequences)
        rows = _positive(interaction, self.label)
        users, items = interaction[self.USER_ID][rows] - 1, interaction[self.ITEM_ID][rows] - 1
        length = interaction[self.ITEM_SEQ_LEN][rows]
        history = (interaction[self.ITEM_SEQ][rows] - 1).clamp(min=0)[:, : int(length.max())]
        if history.shape[1] > sampling.max_length:
            raise InputError(
                f"MAX_ITEM_LIST_LENGTH must be at most {sampling.max_length}, the max_length of {self.kind.__name__}; "
                "change one of them."
            )
        targets = items
        if sampling.targets == "all":
            targets = torch.full_like(history, -1).scatter_(1, length[:, None] - 1, items[:, None])
        return Batch(users, items, None, history, length, targets)


def as_recbole(model: type[Recommender], **arguments: Any) -> type[Bridge]:
    """A class that RecBole's ``Config``, loaders and ``Trainer`` take: ``model`` with ``arguments`` in RecBole's terms.

    Its name is the model's after ``Gcl``; its objects have gcl's recommender as ``model``. Losses come from RecBole's
    batches: pairs with RecBole's negatives (set ``train_neg_sample_args`` to the class's ``negative_sampling``), or
    RecBole's prefixes, one target a row. The hooks ``begin_epoch`` and ``after_step`` are called. Views and dropout
    draw from torch's own generator, which RecBole seeds. Checkpoints are RecBole's own, pickled; its trainer reads them
    on torch 2.6 and newer inside :func:`gcl.recbole.compat.trusting`.

    Raises:
        InputError: no class, an unknown argument (with the nearest), a model that RecBole's data sets or loaders cannot
            feed; when it is built, a model of several phases (they are named), of a closed form, or whose phase has an
            optimiser of its own.
    """
    if not (isinstance(model, type) and issubclass(model, Recommender)):
        raise InputError(f"model must be a class of recommenders, such as gcl.LightGCN, got {model!r}.")
    family = build.family(build.name_of(model))
    unknown(arguments, list(parameters(model)), model.__name__)
    if family == "multimodal" or "columns" in model.needs:
        raise InputError(f"{model.__name__} needs features of items, and RecBole's loaders give interactions alone.")
    bases = import_module("recbole.model.abstract_recommender")
    kinds = import_module("recbole.utils").InputType
    base = bases.SequentialRecommender if family == "sequential" else bases.GeneralRecommender
    sampling = _sampling(model, arguments) if family == "general" else Pairs(0)
    body = {
        "__module__": __name__,
        "__doc__": f"{model.__name__} of gcl as a model of RecBole.",
        "kind": model,
        "given_arguments": arguments,
        "family": family,
        "input_type": kinds.PAIRWISE if sampling.negatives else kinds.POINTWISE,
        "negative_sampling": _negative_sampling(sampling),
    }
    made: Any = _Made(f"Gcl{model.__name__}", (Bridge, base), body)
    return made


class _Made(type):
    """The type of the classes that are made here: a checkpoint of RecBole, which holds one, can make it again."""

    kind: type[Recommender]
    given_arguments: dict[str, Any]


def _made_of(cls: _Made) -> tuple[Any, ...]:
    return _again, (cls.kind, cls.given_arguments)


def _again(model: type[Recommender], arguments: dict[str, Any]) -> type[Bridge]:
    return as_recbole(model, **arguments)


copyreg.pickle(_Made, _made_of)


def from_recbole(dataset: Any) -> Dataset:
    """The training part of a RecBole data set as gcl's; valid and test are empty, ids are RecBole's tokens.

    Of a sequential data set, whose rows are prefixes with a target, the targets and the first item of every user, in
    the order of rows.
    """
    if hasattr(dataset, "given"):
        return dataset.given
    rows, uid, iid = dataset.inter_feat, dataset.uid_field, dataset.iid_field
    user, item = rows[uid] - 1, rows[iid] - 1
    time = rows[dataset.time_field].double() if dataset.time_field in rows else None
    lengths = getattr(dataset, "item_list_length_field", None)
    if lengths is not None and lengths in rows:
        first = rows[lengths] == 1
        place = torch.arange(len(user))
        time = torch.cat([2 * place + 1, 2 * place[first]])
        item = torch.cat([item, rows[dataset.item_id_list_field][first, 0] - 1])
        user = torch.cat([user, user[first]])
    users, items = dataset.num(uid) - 1, dataset.num(iid) - 1
    train = TrainInteractions.from_columns(user, item, users, items, time)
    nothing = Interactions(user[:0], item[:0], users, items, None if time is None else time[:0])
    user_ids, item_ids = (np.array(dataset.field2id_token[field][1:], dtype=str) for field in (uid, iid))
    split = Split(train, nothing, nothing, {"kind": "given"})
    return Dataset(dataset.dataset_name, split, user_ids, item_ids)


def _only_phase(model: Recommender) -> Phase:
    """The phase of a model that one optimiser over all parameters can train."""
    name, phases = type(model).__name__, model.phases()
    if not phases:
        raise InputError(f"{name} has a closed form: there is nothing for RecBole's trainer to do; use gcl.fit.")
    if len(phases) > 1:
        told = ", ".join(phase.name for phase in phases)
        raise InputError(
            f"{name} has {len(phases)} phases a batch ({told}), and RecBole's trainer takes one; use gcl.fit."
        )
    phase = phases[0]
    wanted = {id(p) for p in model.parameters() if p.requires_grad}
    if phase.lr is not None or phase.weight_decay is not None or {id(p) for p in phase.parameters} != wanted:
        raise InputError(
            f"The phase {phase.name} of {name} has an lr, a weight_decay or parameters of its own, and RecBole's "
            "trainer has one optimiser over all parameters; use gcl.fit."
        )
    return phase


def _sampling(model: type[Recommender], arguments: dict[str, Any]) -> Pairs:
    """How a general model wants its pairs, as far as its class and arguments say."""
    found = model.sampling
    if not isinstance(found, Pairs):
        raise InputError(f"{model.__name__} takes whole users, and RecBole's loaders give it pairs; use gcl.fit.")
    known = parameters(model)
    if "negatives" in known and found.negatives:
        return Pairs(arguments.get("negatives", known["negatives"][1]), found.popularity)
    return found


def _negative_sampling(sampling: Pairs) -> dict[str, Any]:
    if not sampling.negatives:
        return {"distribution": "None"}
    kind = "popularity" if sampling.popularity else "uniform"
    return {"distribution": kind, "sample_num": sampling.negatives, "alpha": sampling.popularity or 1.0}


def _positive(interaction: Any, label: str) -> Tensor:
    """The rows that are no negatives, [n]."""
    rows = torch.arange(len(interaction))
    return rows[interaction[label].cpu() > 0] if label in interaction else rows


def _generator(device: torch.device) -> torch.Generator:
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    return torch.default_generator
