"""Logits corrected by the probability of being in the batch, against matrices written out."""

import math

import pytest
import torch
import torch.nn.functional as F

from gcl.losses import Contrast, InfoNCE, NTXent, SampledSoftmax
from gcl.losses.functional import partition

B, M, D = 7, 9, 5
IDS = torch.tensor([0, 1, 2, 2, 3, 4, 5, 1, 8])


@pytest.fixture(params=[0, 2**16], ids=["streamed", "kept"])
def form(request, monkeypatch):
    monkeypatch.setitem(partition.DENSE_BUDGET, "cpu", request.param)


def draw(rows=M):
    generator = torch.Generator().manual_seed(0)
    z1 = torch.randn(B, D, generator=generator, dtype=torch.float64)
    z2 = torch.randn(rows, D, generator=generator, dtype=torch.float64)
    return z1.requires_grad_(), z2.requires_grad_(), torch.rand(rows, generator=generator, dtype=torch.float64).log()


def scores(a, b, similarity):
    if similarity == "cosine":
        return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    return a @ b.T if similarity == "dot" else -torch.cdist(a, b).square()


def naive(z1, z2, ids, log_q, tau, similarity, negatives, forward, beta=0.0):
    """Mean over rows of both directions, entry by entry."""
    own, total = ids[:B], 0.0
    directions = [(forward, z1, z2, ids, log_q, z1)]
    directions.append((1 - forward, z2[:B], z1, own, log_q[:B], z2))
    for weight, anchors, others, other_ids, other_q, same in directions:
        same_ids, same_q = ids[: len(same)], log_q[: len(same)]
        for i in range(B):
            positive = scores(anchors[i : i + 1], others[i : i + 1], similarity)[0, 0] / tau - log_q[i]
            logits = []
            if negatives != "within":
                row = scores(anchors[i : i + 1], others, similarity)[0] / tau - other_q
                logits += [row[j] for j in range(len(others)) if other_ids[j] != own[i]]
            if negatives != "cross":
                row = scores(anchors[i : i + 1], same, similarity)[0] / tau - same_q
                logits += [row[j] for j in range(len(same)) if same_ids[j] != own[i]]
            row = torch.stack(logits)
            w = beta * row - torch.logsumexp(beta * row, 0) + math.log(len(row))
            total = total + weight * (torch.logsumexp(torch.cat([positive[None], row + w]), 0) - positive) / B
    return total


@pytest.mark.parametrize("negatives", ["cross", "within", "both"])
@pytest.mark.parametrize("forward", [1.0, 0.3])
@pytest.mark.parametrize("similarity", ["cosine", "dot", "square_euclidean"])
@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_equal_to_matrices(form, negatives, forward, similarity, beta):
    rows = B if negatives != "cross" else M
    z1, z2, log_q = draw(rows)
    weighting = {"name": "hardness", "beta": beta} if beta else None
    objective = Contrast(
        similarity=similarity, temperature=0.7, negatives=negatives, forward=forward, weighting=weighting
    )
    found = objective(z1, z2, IDS[:rows], log_q=log_q)
    wanted = naive(z1, z2, IDS[:rows], log_q, 0.7, similarity, negatives, forward, beta)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    for one, two in zip(*(torch.autograd.grad(loss, (z1, z2)) for loss in (found, wanted)), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("objective", [InfoNCE(0.3), NTXent(0.3)])
def test_even_probabilities_change_nothing(objective):
    z1, z2, _ = draw(B)
    even = torch.full((B,), -3.0, dtype=torch.float64)
    torch.testing.assert_close(objective(z1, z2, IDS[:B], log_q=even), objective(z1, z2, IDS[:B]))


def test_sampled_softmax_is_the_corrected_infonce():
    z1, z2, log_q = draw()
    one = SampledSoftmax(0.5, similarity="dot")(z1, z2, IDS, log_q=log_q)
    torch.testing.assert_close(InfoNCE(0.5, similarity="dot")(z1, z2, IDS, log_q=log_q), one)


def test_one_number_a_candidate():
    z1, z2, log_q = draw()
    with pytest.raises(ValueError, match=r"log_q must be \[9\], one number a row of z2, got \[9, 1\]"):
        InfoNCE(0.5)(z1, z2, IDS, log_q=log_q[:, None])
