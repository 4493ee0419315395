"""MMRec folders: one ``.inter`` file with ``x_label``, and features in ``*_feat.npy``."""

from pathlib import Path

from gcl.data.atomic import Named, atomic_files, read_inter
from gcl.data.dataset import Dataset
from gcl.data.plan import Plan, prepare
from gcl.data.table import Source
from gcl.errors import InputError

LABEL = "x_label"
SUFFIX = "_feat.npy"


def from_mmrec(path: Path | str, *, plan: Plan = Plan(), name: str | None = None) -> Dataset:
    """A data set from a folder in the layout of MMRec (Zhou, 2023), or from its ``.inter`` file.

    ``userID itemID [rating] [timestamp] x_label``: label 0 is train, 1 valid, 2 test. ``image_feat.npy`` becomes the
    modality ``image``: row i belongs to the item with the integer id i. Features are read when a model
    asks for them, through a memory map, and only the rows of items in the data set are kept, as float32; rows of zeros
    are marked missing.

    Raises:
        InputError: files that are not there, and what :func:`gcl.data.plan.prepare` refuses; when they are asked for,
            features with another number of rows than there are item ids, or that are not finite.
    """
    files, stem = atomic_files(Path(path))
    if "interactions" not in files:
        raise InputError(f"{path} has parts in files of their own; an MMRec folder has one .inter file.")
    folder = files["interactions"].parent
    features = {file.name.removesuffix(SUFFIX): file for file in sorted(folder.glob(f"*{SUFFIX}"))}
    return prepare(read_mmrec(files["interactions"], features), plan, name or stem)


def read_mmrec(inter: Path, features: dict[str, Path], named: Named | None = None, separator: str = "\t") -> Source:
    """The raw rows and features of :func:`from_mmrec`; ``features``: modality -> file."""
    rows = read_inter(inter, named or {}, LABEL, separator)
    return Source(rows, str(inter), features=features)
