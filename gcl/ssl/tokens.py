"""Words as nodes: a graph of what stands near what, and a contrast of words by the classes of their texts."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from gcl.encoders.gnn import GCN
from gcl.errors import InputError
from gcl.losses import Objective, SupCon
from gcl.ssl.base import Method, encode
from gcl.ssl.contrast import give

if TYPE_CHECKING:
    from torch_geometric.data import Data

WORD = re.compile(r"[^\W\d_]{2,}")
DENSE = 1024
"""Most words whose matrix of counts is made dense."""


def token_graph(
    texts: Sequence[str],
    labels: Sequence[int] | Sequence[Sequence[int]],
    *,
    window: int = 2,
    min_count: int = 2,
    threshold: float = 0.9,
    prior: float = 1.0,
    dim: int = 64,
) -> "Data":
    """A graph of words: an edge where two stand at most ``window`` apart, weighted by how often they do.

    ``x`` [V, dim] are singular vectors of the positive pointwise mutual information of the counts, times the root of
    their values (Levy & Goldberg, NeurIPS 2014); a vocabulary below ``dim`` has columns of 0. ``y`` [V] is the class c
    of the highest p(c | word) = (n_wc + prior) / Σ_c' (n_wc' + prior), n counting words of texts of class c, or -1
    where that is below ``threshold``: a word shared by classes. ``words`` are the words, most frequent first, and
    ``count`` [V] how often. Ghosh et al., Supervised Graph Contrastive Pretraining (SAC 2022), for several classes.

    Args:
        texts: lower-cased, cut into runs of two letters or more.
        labels: class of every text from 0, or its classes.
        window: distance in words.
        min_count: words that come less often are left out, before distances are counted.
        threshold: in (0, 1].
        prior: count that every class has before it is seen, at least 0.
        dim: width of ``x``.

    Raises:
        InputError: texts and labels of unequal number, or nothing left.
    """
    from torch_geometric.data import Data

    if len(texts) != len(labels):
        raise InputError(f"labels must be one a text, {len(texts)}, got {len(labels)}.")
    if window < 1 or not 0.0 < threshold <= 1.0 or prior < 0:
        raise ValueError(
            f"window must be at least 1, threshold in (0, 1], prior at least 0, got {window}, {threshold}, {prior}."
        )
    cut = [WORD.findall(text.lower()) for text in texts]
    count = Counter(word for words in cut for word in words)
    words = sorted((w for w, n in count.items() if n >= min_count), key=lambda w: (-count[w], w))
    if not words:
        raise InputError(f"min_count must leave some words, and none of {len(count)} comes {min_count} times.")
    number = {word: at for at, word in enumerate(words)}
    lines = [[number[w] for w in text if w in number] for text in cut]
    near = _near(lines, window, len(words))
    classes = [[c] if isinstance(c, int | np.integer) else list(c) for c in labels]
    links = near.tocoo()
    return Data(
        x=_vectors(near, dim),
        edge_index=torch.from_numpy(np.stack([links.row, links.col]).astype(np.int64)),
        edge_weight=torch.from_numpy(links.data).float(),
        y=_classes(lines, classes, len(words), threshold, prior),
        words=words,
        count=torch.tensor([count[w] for w in words]),
    )


class TokenContrast(Method):
    """mean_t -1/|P(t)| Σ_{p ∈ P(t)} log [ exp(<h_t, h_p> / τ) / Σ_{a ∈ P(t) ∪ Q(t)} exp(<h_t, h_a> / τ) ].

    A step takes ``anchors`` words that have a class, and a neighbour of the same class for each that has one, drawn by
    how often it stands near. P(t) are the words of t's class among them, Q(t) those of other classes, dot products are
    not normalised: :class:`gcl.losses.SupCon` of labels. The sign pulls words of a class together (the authors' public
    file negates the products, against their text). The encoder's output replaces a table of word vectors.
    Ghosh et al., Supervised Graph Contrastive Pretraining for Text Classification (SAC 2022).

    Args:
        encoder: see :class:`gcl.ssl.Method`; the data are a :func:`token_graph`, with classes as ``y``, -1 for none.
        objective: of kind labelled.
        anchors: words of a class in a step, before their neighbours.
    """

    supervised = True
    reference = "Ghosh et al., SAC 2022"
    objective_kinds = ("labelled",)

    def __init__(
        self,
        encoder: nn.Module,
        *,
        objective: Objective = SupCon(temperature=5.0, similarity="dot"),
        anchors: int = 128,
    ) -> None:
        super().__init__(encoder)
        if anchors < 2:
            raise ValueError(f"anchors must be at least 2 words, got {anchors}.")
        self.anchors = anchors
        self.objective = objective.build(0, self.channels)

    def losses(self, data: "Data", generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Term ``contrast``."""
        give(self.objective, generator)
        words = self.draw(data, generator)
        states = encode(self.encoder, data).index_select(0, words)
        return {"contrast": self.objective(states, data.y.index_select(0, words))}

    def draw(self, data: "Data", generator: torch.Generator | None = None) -> Tensor:
        """Words of a step, each once: anchors, and a neighbour of the class of each."""
        known = (data.y >= 0).nonzero()[:, 0]
        if len(known) < 2:
            raise InputError(f"TokenContrast needs words with a class, y from 0, and {len(known)} have one.")
        order = torch.randperm(len(known), generator=generator, device=generator.device if generator else None)
        chosen = known[order[: self.anchors].to(known.device)]
        source, target = data.edge_index
        alike = (data.y[source] == data.y[target]) & (data.y[source] >= 0)
        source, target, weight = source[alike], target[alike], data.edge_weight[alike]
        coin = torch.rand(len(weight), generator=generator, device=generator.device if generator else None)
        key = coin.to(weight.device).clamp_min(1e-9).log() / weight
        best = key.new_full((len(data.y),), -torch.inf).scatter_reduce(0, source, key, "amax")
        wanted = torch.zeros(len(data.y), dtype=torch.bool, device=source.device).index_fill_(0, chosen, True)
        drawn = target[(key == best[source]) & wanted[source]]
        return torch.unique(torch.cat([chosen, drawn]))

    @staticmethod
    def default_encoder(in_channels: int, hidden: int = 64) -> GCN:
        """Two layers of one width, ReLU between."""
        return GCN(in_channels, (hidden, hidden), last=False)


def _flat(lines: Sequence[Sequence[int]]) -> tuple["np.ndarray", "np.ndarray"]:
    """All words after one another, and the line of each."""
    words = np.fromiter((word for line in lines for word in line), np.int64)
    return words, np.repeat(np.arange(len(lines)), [len(line) for line in lines])


def _near(lines: Sequence[Sequence[int]], window: int, size: int) -> Any:
    """Counts of pairs at most ``window`` apart, a sparse [V, V], symmetric, without its diagonal."""
    from scipy import sparse

    words, owner = _flat(lines)
    near = sparse.csr_matrix((size, size))
    for gap in range(1, window + 1):
        one, other = words[:-gap], words[gap:]
        kept = (owner[:-gap] == owner[gap:]) & (one != other)
        near = near + sparse.csr_matrix((np.ones(int(kept.sum())), (one[kept], other[kept])), (size, size))
    near = near + near.T
    near.sort_indices()
    return near


def _vectors(near: Any, dim: int) -> Tensor:
    """U sqrt(S) of max(0, log(n_ab n / (n_a n_b))), signs such that the largest entry of a column is positive.

    The matrix is symmetric: U are eigenvectors and S the sizes of their eigenvalues. A large one is never made dense.
    """
    from scipy.sparse.linalg import eigsh

    links, own = near.tocoo(), np.asarray(near.sum(1)).reshape(-1)
    links.data = np.log(links.data * near.sum() / (own[links.row] * own[links.col])).clip(0.0)
    size = links.shape[0]
    if size > max(DENSE, dim):
        values, u = eigsh(links.tocsr(), k=dim, which="LM", v0=np.ones(size))
    else:
        values, u = np.linalg.eigh(links.toarray())
    order = np.argsort(-np.abs(values), kind="stable")[:dim]
    u, s = u[:, order], np.abs(values[order])
    u = u * np.sign(u[np.abs(u).argmax(0), np.arange(u.shape[1])])
    return torch.from_numpy(np.pad(u * np.sqrt(s), ((0, 0), (0, dim - u.shape[1])))).float()


def _classes(
    lines: Sequence[Sequence[int]], classes: Sequence[Sequence[int]], size: int, threshold: float, prior: float
) -> Tensor:
    """Class of every word, -1 where none stands out, [V]."""
    words, owner = _flat(lines)
    counts = torch.zeros(size, 1 + max((c for own in classes for c in own), default=0))
    for c in range(counts.shape[1]):
        mine = np.array([c in own for own in classes])
        counts[:, c] = torch.from_numpy(np.bincount(words[mine[owner]], minlength=size))
    share = (counts + prior) / (counts + prior).sum(1, keepdim=True).clamp(min=1e-12)
    top, best = share.max(1)
    return torch.where(top >= threshold, best, -1)
