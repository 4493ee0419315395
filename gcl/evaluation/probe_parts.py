"""Classifiers and clustering that probes are made of; scikit-learn is loaded when one of its own is asked for."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

EVERY = 10
"""Steps from one look at valid to the next."""


def linear(
    z: Tensor,
    y: Tensor,
    train: Tensor,
    valid: Tensor | None,
    test: Tensor,
    rates: tuple[int, float, float],
    generator: torch.Generator,
) -> dict[str, float]:
    """``accuracy`` on test, and ``valid``, of softmax(z W + b) trained by Adam; rows of z are [n, d].

    The step is the one of the highest accuracy on valid, of the lowest loss among equals; without valid the last one.
    ``rates``: steps, learning rate, weight decay. W is Xavier-uniform, b 0. test is read at the chosen step alone.
    """
    steps, lr, decay = rates
    classes = int(y.max()) + 1
    bound = (6.0 / (z.shape[1] + classes)) ** 0.5
    weight = ((torch.rand(z.shape[1], classes, generator=generator) * 2 - 1) * bound).requires_grad_()
    bias = torch.zeros(classes, requires_grad=True)
    adam = torch.optim.Adam([weight, bias], lr=lr, weight_decay=decay)
    z_train, y_train = z[train], y[train]
    best: tuple[float, float] = (-1.0, 0.0)
    kept = (weight, bias)
    for step in range(1, steps + 1):
        adam.zero_grad()
        F.cross_entropy(z_train @ weight + bias, y_train).backward()
        adam.step()
        if valid is not None and (not step % EVERY or step == steps):
            with torch.no_grad():
                logits = z[valid] @ weight + bias
                now = (_share(logits, y[valid]), -float(F.cross_entropy(logits, y[valid])))
            if now > best:
                best, kept = now, (weight.detach().clone(), bias.detach().clone())
    with torch.no_grad():
        found = _share(z[test] @ kept[0] + kept[1], y[test])
    return {"accuracy": found} if valid is None else {"accuracy": found, "valid": best[0]}


def logistic(z: Tensor, y: Tensor, train: Tensor, test: Tensor, seed: int, halves: bool) -> dict[str, float]:
    """``accuracy`` on test, and ``valid``, of one-vs-rest logistic regression; C in 2^-10 .. 2^10 is chosen on valid.

    Valid lies within train. ``halves``: 5 random splits of train in halves; else 5 stratified folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, ShuffleSplit
    from sklearn.multiclass import OneVsRestClassifier

    inner: Any = ShuffleSplit(5, test_size=0.5, random_state=seed) if halves else 5
    grid = {"estimator__C": 2.0 ** np.arange(-10, 11)}
    search = GridSearchCV(OneVsRestClassifier(LogisticRegression(solver="liblinear")), grid, cv=inner)
    search.fit(z[train].numpy(), y[train].numpy())
    return {"accuracy": float(search.score(z[test].numpy(), y[test].numpy())), "valid": float(search.best_score_)}


def support(z: Tensor, y: Tensor, seed: int, folds: int = 10) -> dict[str, float]:
    """Mean ``accuracy`` over stratified folds of an SVM with RBF kernel, and ``valid``: that of 5 folds within each.

    C in 10^-3 .. 10^3 is chosen on valid.
    """
    from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
    from sklearn.svm import SVC

    search = GridSearchCV(SVC(), {"C": 10.0 ** np.arange(-3, 4)}, cv=5)
    outer = StratifiedKFold(folds, shuffle=True, random_state=seed)
    found = cross_validate(search, z.numpy(), y.numpy(), cv=outer, return_estimator=True)
    within = [fold.best_score_ for fold in found["estimator"]]
    return {"accuracy": float(np.mean(found["test_score"])), "valid": float(np.mean(within))}


def cluster(z: Tensor, y: Tensor, seed: int) -> dict[str, float]:
    """``accuracy`` under the best matching of clusters and classes, ``nmi`` and ``ari``, of k-means with k classes."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    classes = int(y.max()) + 1
    found = KMeans(classes, n_init=10, random_state=seed).fit_predict(z.numpy())
    told = y.numpy()
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (found, told), 1)
    rows, columns = linear_sum_assignment(-table)
    return {
        "accuracy": float(table[rows, columns].sum() / len(told)),
        "nmi": float(normalized_mutual_info_score(told, found)),
        "ari": float(adjusted_rand_score(told, found)),
    }


def _share(logits: Tensor, y: Tensor) -> float:
    return float((logits.argmax(1) == y).float().mean())
