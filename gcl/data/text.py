"""Columns of items become a modality: words and attributes as vectors."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from gcl.data.dataset import Dataset
from gcl.data.modality import Modality
from gcl.errors import InputError, nearest

log = logging.getLogger("gcl.data")
TFIDF = "tfidf"


class Columns(BaseModel):
    """Columns of items to be encoded (:func:`encode_text`); ``optional``: left out where they are not there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: str | list[str]
    dim: int = 128
    encoder: str = TFIDF
    seed: int = 0
    optional: bool = False


def encode_text(
    data: Dataset, columns: str | Sequence[str], *, dim: int = 128, encoder: str = TFIDF, seed: int = 0
) -> Modality:
    """Columns of items as a modality.

    ``tfidf``: words in lower case of text columns, and ``column=entry`` of lists and numbers, as TF-IDF (sublinear,
    unit rows), then the ``dim`` strongest directions of a truncated SVD (Deerwester et al., Indexing by Latent Semantic
    Analysis, 1990); fewer terms than ``dim`` are taken as they are. Any other ``encoder`` is a model of
    sentence-transformers (the extra ``text``), which reads the columns as one sentence and has its own width. An item
    whose columns are empty is missing.

    Args:
        data: whose ``item_columns`` are read.
        columns: name or names of columns.
        dim: largest width of ``tfidf``.
        encoder: ``tfidf``, or the name of a sentence-transformers model.
        seed: of the randomised SVD.

    Raises:
        InputError: an unknown column, columns without a word, a dim or seed out of range, sentence-transformers not
            installed or without the model.
    """
    return encode_columns(data.item_columns, columns, dim=dim, encoder=encoder, seed=seed)


def encode_columns(
    known: Mapping[str, np.ndarray],
    columns: str | Sequence[str],
    *,
    dim: int = 128,
    encoder: str = TFIDF,
    seed: int = 0,
) -> Modality:
    """:func:`encode_text` of a mapping of columns."""
    names = [columns] if isinstance(columns, str) else list(columns)
    if dim < 1 or not names:
        raise InputError(f"text needs at least one column and a dim of at least 1, got {names} and {dim}.")
    if not 0 <= seed < 1 << 32:
        raise InputError(f"text: seed must lie in [0, 2^32), got {seed}.")
    for name in names:
        if name not in known:
            hint = nearest(name, known) if known else "There are no columns of items."
            raise InputError(f"text: items have no column {name!r}. {hint}")
    rows = [_terms(known[name], name) for name in names]
    terms = [[term for part in parts for term in part] for parts in zip(*rows, strict=True)]
    present = torch.tensor([bool(t) for t in terms])
    if not bool(present.any()):
        raise InputError(f"text: the columns {', '.join(names)} hold no word.")
    if int((~present).sum()):
        log.warning("text of %s: %d items have none and are marked missing", ", ".join(names), int((~present).sum()))
    if encoder == TFIDF:
        return Modality(_tfidf(terms, dim, seed), present)
    sentences = [" ".join(_sentence(known[name][row]) for name in names) for row in range(len(terms))]
    return Modality(_sentences(sentences, encoder), present)


def _terms(column: np.ndarray, name: str) -> list[list[str]]:
    """The terms of every item."""
    if column.dtype.kind in "US":
        return [re.findall(r"\w+", str(text).lower()) for text in column.tolist()]
    return [_entries(entry, name) for entry in column.tolist()]


def _entries(entry: Any, name: str) -> list[str]:
    """The terms of one entry: words of text, entries of a list, a number; none of what is missing."""
    if entry is None or (isinstance(entry, float) and entry != entry):
        return []
    if isinstance(entry, str):
        return re.findall(r"\w+", entry.lower())
    if isinstance(entry, (list, tuple, set, frozenset, np.ndarray)):
        return [f"{name}={part}" for part in (sorted(entry) if isinstance(entry, (set, frozenset)) else entry)]
    if isinstance(entry, (bool, int, float)):
        return [f"{name}={_number(entry)}"]
    raise InputError(f"text: column {name!r} must hold text, numbers or lists of them, got {entry!r}.")


def _sentence(entry: Any) -> str:
    if entry is None or (isinstance(entry, float) and entry != entry):
        return ""
    if isinstance(entry, float):
        return _number(entry)
    return ", ".join(map(str, entry)) if isinstance(entry, (list, tuple, np.ndarray)) else str(entry)


def _number(value: float) -> str:
    """All digits, so that different numbers stay different; whole ones without a point."""
    return str(int(value) if float(value).is_integer() else value)


def _tfidf(terms: list[list[str]], dim: int, seed: int) -> Tensor:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    matrix = TfidfVectorizer(analyzer=lambda words: words, sublinear_tf=True).fit_transform(terms)
    if matrix.shape[1] <= dim:
        return torch.from_numpy(matrix.toarray().astype(np.float32))
    width = min(dim, min(matrix.shape) - 1)
    reduced = TruncatedSVD(max(1, width), random_state=seed).fit_transform(matrix)
    return torch.from_numpy(reduced.astype(np.float32))


def _sentences(sentences: list[str], encoder: str) -> Tensor:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise InputError(
            f"encoder {encoder!r} needs sentence-transformers: pip install 'gcl-rec[text]', or take encoder=tfidf."
        ) from error
    try:
        model = SentenceTransformer(encoder)
    except Exception as error:
        raise InputError(f"The text encoder {encoder!r} cannot be loaded ({error}); or take encoder=tfidf.") from error
    return torch.as_tensor(np.asarray(model.encode(sentences, show_progress_bar=False))).float()
