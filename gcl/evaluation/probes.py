"""Probes: what can be read off frozen embeddings by a simple classifier, or by clustering."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from gcl.data.graphs import MASKS, Graphs
from gcl.errors import InputError
from gcl.evaluation.probe_parts import cluster, linear, logistic, support

Protocol = Literal[
    "public", "public-val", "rand-10/10/80", "60/20/20", "rand-20/80-sk", "rand-10/90-sk", "few", "kmeans", "svm-10"
]
RANDOM = {"rand-10/10/80": (0.1, 0.1), "60/20/20": (0.6, 0.2)}
SHARES = {"rand-20/80-sk": 0.2, "rand-10/90-sk": 0.1}


class ProbeSettings(BaseModel):
    """How embeddings are judged; unknown keys are errors. Figures of different protocols are not comparable.

    ========== ========================================================================================================
    public     the published split; linear, after ``steps``; valid is not used (DGI: lr 0.01, 100 steps, 50 runs);
               of several published splits, as columns of the masks, one a run in turn
    public-val the published split; linear, test at the best step on valid (CCA-SSG)
    rand-10/10/80, 60/20/20  a fresh random split a run; linear, test at the best step on valid (GCA, PolyGCL)
    rand-20/80-sk, rand-10/90-sk  a fresh random split a run; rows of length 1, one-vs-rest logistic regression, its C
               in 2^-10 .. 2^10 chosen inside the labelled part by 5 splits in halves (BGRL), or 5 folds (GRACE)
    few        ``labels`` nodes a class drawn for train and as many for valid, the rest test; linear as public-val
    kmeans     k-means on rows of length 1, k classes: accuracy under the best matching, NMI, ARI
    svm-10     graphs: SVM with RBF kernel, 10 stratified folds, C in 10^-3 .. 10^3 chosen by 5 folds within (InfoGraph)
    ========== ========================================================================================================
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    protocol: Protocol | None = Field(None, description="null: public-val, rand-20/80-sk or svm-10, as the data has it")
    runs: int = Field(5, ge=1, description="splits, and seeds of the probe")
    steps: int = Field(2000, ge=1, description="of a linear probe")
    lr: float = Field(1e-2, gt=0, description="of Adam, in a linear probe")
    weight_decay: float = Field(1e-4, ge=0, description="of Adam, in a linear probe")
    labels: int = Field(5, ge=1, description="nodes a class, of the protocol few")


@dataclass(frozen=True)
class Probe:
    """What a probe found: mean and standard deviation (n - 1) of ``values``, one a run, in percent."""

    protocol: str
    accuracy: float
    deviation: float
    runs: int
    values: tuple[float, ...]
    details: dict[str, float]
    """Means of what else was measured, in percent; ``valid`` is what settings may be chosen by."""
    settings: dict[str, Any]
    """All that decides the figures."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "values": list(self.values)}


def probe(z: Tensor, graphs: Graphs, settings: ProbeSettings | None = None, seed: int = 0) -> Probe:
    """Judge embeddings ``z`` [N, d] of nodes, or [G, d] of graphs.

    Raises:
        InputError: rows that are not those of the data, a protocol that does not fit it.
    """
    settings = settings or ProbeSettings.model_validate({})
    y = graphs.labels.cpu()
    z = z.detach().cpu().float()
    if z.dim() != 2 or len(z) != len(y):
        raise InputError(f"z must be [{len(y)}, d], one row a {graphs.level}, got {tuple(z.shape)}.")
    if not bool(torch.isfinite(z).all()):
        raise InputError("z holds values that are not finite; the encoder has diverged: lower the learning rate.")
    name = fitting(settings.protocol, graphs)
    y = _dense(y)
    measured = [_once(name, z, y, graphs, settings, seed, run) for run in range(settings.runs)]
    values = tuple(100 * m.pop("accuracy") for m in measured)
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / max(len(values) - 1, 1))
    details = {key: 100 * math.fsum(m[key] for m in measured) / len(measured) for key in measured[0]}
    told = {**settings.model_dump(mode="json"), "protocol": name, "seed": seed, "data": graphs.digest}
    return Probe(name, mean, spread, len(values), values, details, told)


def _dense(y: Tensor) -> Tensor:
    """Labels from 0 without gaps, unknown ones -1."""
    out = torch.full_like(y, -1)
    out[y >= 0] = y[y >= 0].unique(return_inverse=True)[1]
    return out


def split(y: Tensor, shares: tuple[float, float], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Positions for train, valid and the rest for test, of rows with a label; shares are of train and of valid."""
    known = (y >= 0).nonzero()[:, 0]
    order = known[torch.randperm(len(known), generator=generator)]
    train, valid = (round(share * len(order)) for share in shares)
    return order[:train], order[train : train + valid], order[train + valid :]


def published(mask: Tensor, run: int) -> Tensor:
    """The mask of a run, [N]: itself, or one of several as columns [N, S] in turn."""
    return mask.bool() if mask.dim() == 1 else mask[:, run % mask.shape[1]].bool()


def few(y: Tensor, labels: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Positions of ``labels`` rows a class for train, as many for valid, and of the rest for test.

    Raises:
        InputError: a class with too few rows.
    """
    parts: list[list[Tensor]] = [[], [], []]
    for c in range(int(y.max()) + 1):
        own = (y == c).nonzero()[:, 0]
        own = own[torch.randperm(len(own), generator=generator)]
        if len(own) <= 2 * labels:
            raise InputError(f"labels must be below half of the smallest class, {len(own)} rows, got {labels}.")
        for part, rows in zip(parts, (own[:labels], own[labels : 2 * labels], own[2 * labels :]), strict=True):
            part.append(rows)
    train, valid, test = (torch.cat(part) for part in parts)
    return train, valid, test


def fitting(protocol: Protocol | None, graphs: Graphs) -> Protocol:
    """The protocol, or the usual one of the data.

    Raises:
        InputError: the protocol does not fit the data, or these have no two classes.
    """
    classes = len(graphs.labels[graphs.labels >= 0].unique())
    if classes < 2:
        raise InputError(f"probe: {graphs.name} must have labels of two classes or more, got {classes}.")
    _, count = graphs.labels[graphs.labels >= 0].unique(return_counts=True)
    public = graphs.level == "node" and all(mask in graphs.data for mask in MASKS)
    if protocol is None:
        protocol = "svm-10" if graphs.level == "graph" else "public-val" if public else "rand-20/80-sk"
    if protocol == "svm-10" and graphs.level == "graph":
        _enough(protocol, graphs, int(count.sort().values[-2]), 10, "graphs in each of two classes")
    if protocol.startswith("public") and not public:
        raise InputError(
            f"probe: protocol {protocol} needs a published split of nodes, and {graphs.name} has none; take "
            f"{'svm-10' if graphs.level == 'graph' else 'rand-20/80-sk'}."
        )
    if protocol == "svm-10" and graphs.level == "node":
        raise InputError(f"probe: protocol svm-10 is of graphs, and {graphs.name} has nodes; take rand-20/80-sk.")
    return protocol


def _enough(name: str, graphs: Graphs, found: int, least: int, what: str) -> None:
    if found < least:
        raise InputError(f"probe: protocol {name} needs at least {least} {what}, and {graphs.name} has {found}.")


def _once(
    name: Protocol, z: Tensor, y: Tensor, graphs: Graphs, settings: ProbeSettings, root: int, run: int
) -> dict[str, float]:
    """One run: ``accuracy`` and what else is measured, as shares."""
    seed = root * 1000 + run
    generator = torch.Generator().manual_seed(seed)
    known = y >= 0
    if name == "kmeans":
        return cluster(F.normalize(z[known], dim=1), y[known], seed)
    if name == "svm-10":
        return support(z[known], y[known], seed)
    if name in SHARES:
        train, _, test = split(y, (SHARES[name], 0.0), generator)
        halves = name == "rand-20/80-sk"
        _enough(name, graphs, len(train), 4 if halves else 5, "labelled rows for train")
        _enough(name, graphs, len(y[train].unique()), 2, "classes in train")
        if not halves:
            _enough(name, graphs, int(torch.bincount(y[train]).max()), 5, "rows of one class in train")
        return logistic(F.normalize(z, dim=1), y, train, test, seed, halves)
    if name == "few":
        train, valid, test = few(y, settings.labels, generator)
    elif name in RANDOM:
        train, valid, test = split(y, RANDOM[name], generator)
    else:
        train, valid, test = (published(graphs.data[mask].cpu(), run) & known for mask in MASKS)
        train, valid, test = (part.nonzero()[:, 0] for part in (train, valid, test))
    for part, rows in (("train", train), ("valid", valid), ("test", test)):
        _enough(name, graphs, len(rows), 1, f"labelled rows for {part}")
    chosen = None if name == "public" else valid
    rates = (settings.steps, settings.lr, settings.weight_decay)
    return linear(z, y, train, chosen, test, rates, generator)
