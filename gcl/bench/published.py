"""Published figures beside ours, only where they were made under the same protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gcl import build, catalogue
from gcl.bench.plan import Cell, Row
from gcl.bench.spec import Bench
from gcl.data import cards, load
from gcl.data.cards import Card
from gcl.errors import InputError, nearest
from gcl.evaluation import Protocol
from gcl.signatures import REQUIRED, parameters

if TYPE_CHECKING:
    from gcl.bench.tables import Figure

FREE = ("show", "seed")
"""Settings of the data section that leave a published split what it is (seed: which rows are set aside for valid)."""


@dataclass(frozen=True)
class Gap:
    """Ours minus the published figure of one metric."""

    method: str
    metric: str
    ours: float
    published: float
    gap: float


def gaps(row: Row, cell: Cell, protocol: Protocol, test: "Mapping[str, Figure]", cut: bool) -> tuple[Gap, ...]:
    """What the card of the data set says of the row's method, where the comparison is fair.

    Fair: the exclusion rule that the card names, full ranking, every user counted, the card's own split and filters, a
    run that was not cut, the method's own objective (or a row that names ``published`` itself).
    """
    card = _card(row.source.name)
    if card is None or card.published is None or cut or not _same(card, cell, protocol):
        return ()
    method = row.entry.published or _method(cell)
    figures = card.published.figures.get(method, {})
    return tuple(
        Gap(method, metric, test[metric].mean, value, test[metric].mean - value)
        for metric, value in figures.items()
        if metric in test
    )


def check(bench: Bench, where: str) -> None:
    """An error for an entry that asks for a published row that no data set of the comparison has.

    Raises:
        InputError: the name, with the nearest of the cards.
    """
    found = [card for source in bench.datasets if (card := _card(source.name)) is not None]
    known = [name for card in found if card.published is not None for name in card.published.figures]
    for name, entry in bench.models.items():
        if entry.published is not None and entry.published not in known:
            raise InputError(
                f"{where}: models.{name}.published: there are no figures of {entry.published!r} for "
                f"{', '.join(source.name for source in bench.datasets)}. {nearest(entry.published, known)}"
            )


def remark(dataset: str) -> str:
    """What the card says beside its published figures."""
    card = _card(dataset)
    return card.published.note.strip() if card is not None and card.published is not None else ""


def metrics(dataset: str) -> list[str]:
    """Metrics that the card of a data set has published figures of."""
    card = _card(dataset)
    figures = card.published.figures.values() if card is not None and card.published is not None else ()
    return list(dict.fromkeys(name for told in figures for name in told))


def _same(card: Card, cell: Cell, protocol: Protocol) -> bool:
    assert card.published is not None
    ranked = (protocol.exclude, protocol.candidates, protocol.min_train)
    if ranked != (card.published.exclude, "full", 0):
        return False
    known = {name: default for name, (_, default) in parameters(load).items() if default is not REQUIRED}
    defaults = {name: build.plain(default, name) for name, default in known.items()}
    free = {*FREE, "split"}
    changed = [n for n, value in cell.config.data.items() if n not in free and value != defaults.get(n)]
    split = cell.config.data.get("split")
    return not changed and split in (None, card.split or "given")


def _method(cell: Cell) -> str:
    """The model's name where it is gcl's and has its own objective, else nothing that is published."""
    name, objective = cell.config.name, cell.config.model.get("objective")
    if name not in build.MODELS:
        return ""
    own = catalogue.models([name])[0]["arguments"].get("objective")
    return name if _name(objective) == _name(own) else ""


def _name(objective: object) -> object:
    return objective.get("name") if isinstance(objective, Mapping) else objective


def _card(dataset: str) -> Card | None:
    return cards.find(dataset) if dataset in cards.names() else None
