"""Cards: what is known of a data set by name. One YAML file each in ``datasets/``."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gcl.data.plan import SplitKind
from gcl.data.share import share
from gcl.errors import InputError, nearest


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Strict):
    """A file: its path below the folder of the data set, and what is known of it.

    ``optional``: the data set can be read without it. ``reordered``: the file at ``url`` holds the same rows in another
    order than the one with the checksum, so that a download is checked by counts.
    """

    path: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    url: str | None = None
    optional: bool = False
    reordered: bool = False


class Columns(_Strict):
    """Names of columns; the number of a column, from 1, in a file without header. None: a common name."""

    user: str | int | None = None
    item: str | int | None = None
    time: str | int | None = None
    value: str | int | None = None


class Filters(_Strict):
    """Filters that apply unless others are asked for."""

    min_value: float | None = None
    min_user: int | None = None
    min_item: int | None = None


class Encoded(_Strict):
    """A modality made of columns of items by :func:`gcl.data.encode_text`."""

    columns: tuple[str, ...]
    dim: int = 128


class Counts(_Strict):
    """What a check must find. ``train`` holds the rows set aside for valid where the split has no valid part.

    ``arcs`` counts both directions, loops left out.
    """

    users: int | None = None
    items: int | None = None
    interactions: int | None = None
    train: int | None = None
    valid: int | None = None
    test: int | None = None
    graphs: int | None = None
    nodes: int | None = None
    arcs: int | None = None
    features: int | None = None
    classes: int | None = None


class Published(_Strict):
    """Published figures, method -> metric -> value, and the rule of exclusion under which they may be compared."""

    exclude: Literal["seen", "train", "none"]
    figures: Mapping[str, Mapping[str, float]] = {}
    note: str = ""


class Card(_Strict):
    """One data set. ``folder``: its place below the folder named by ``GCL_DATA``.

    ``files``: role -> file. Roles are interactions, or train, valid and test; items and users; a modality for
    ``*_feat.npy``; a column of lists for ``*.json``. ``wheel``: a folder inside an installed package that holds the
    files. ``rename``: other names for columns of items and users. ``by_hand``: how to obtain what has no address.
    """

    name: str
    title: str
    kind: Literal["general", "sequential", "multimodal", "graph"]
    folder: str
    format: Literal["atomic", "lists", "csv", "mmrec", "npz", "planetoid", "tu"]
    files: Mapping[str, File]
    columns: Columns = Columns()
    rename: Mapping[str, str] = {}
    modalities: Mapping[str, Encoded] = {}
    ordered: bool | None = None
    filters: Filters = Filters()
    split: SplitKind | None = None
    published: Published | None = None
    expected: Counts
    license: str
    citation: str
    source: str
    note: str = ""
    by_hand: str = ""
    wheel: str | None = None

    def plain(self) -> dict[str, Any]:
        """The card as a mapping of plain values, without what is not given."""
        return self.model_dump(mode="json", exclude_defaults=True)


def names() -> list[str]:
    """The names of all cards, sorted."""
    return sorted(path.stem for path in share("datasets").glob("*.yaml"))


def find(name: str) -> Card:
    """The card of a data set.

    Raises:
        InputError: no card has this name (the nearest is named), or the card is not valid.
    """
    path = share("datasets", f"{name}.yaml")
    if Path(name).name != name or not path.is_file():
        raise InputError(f"Unknown data set {name!r}. {nearest(name, names())} A path to a file or folder works, too.")
    return _read(path)


@cache
def _read(path: Path) -> Card:
    try:
        return Card.model_validate({"name": path.stem, **yaml.safe_load(path.read_text(encoding="utf-8"))})
    except (ValidationError, yaml.YAMLError, TypeError) as error:
        raise InputError(f"The card {path} is not valid: {error}") from error
