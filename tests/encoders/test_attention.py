"""Attention by hand against torch's, and the last position alone against all positions."""

import pytest
import torch
import torch.nn.functional as F

from gcl.encoders import GRUEncoder, TransformerEncoder
from gcl.encoders import attention as part
from gcl.encoders.attention import causal_attention, last_attention, rotate, softmax
from gcl.encoders.dropout import Dropout


def heads(length=5):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 3, 2, length, 4, generator=generator, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("length", [1, 5, 20])
def test_by_hand_equals_torchs_in_value_and_gradient(length, monkeypatch):
    x, drawn = heads(length), torch.rand(6, length, length, dtype=torch.float64)
    monkeypatch.setattr(part, "noise", lambda share, p: drawn)
    ours = causal_attention(x, Dropout(0.5))
    q, k, v = (t.flatten(0, 1) for t in x)
    later = torch.ones(length, length).triu(1).bool()
    share = (q @ k.transpose(1, 2) / 2).masked_fill(later, -torch.inf).softmax(2)
    theirs = (share * drawn @ v).view(3, 2, length, 4)
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn(ours.shape, dtype=torch.float64)
    gradients = (torch.autograd.grad((f * weight).sum(), x)[0] for f in (ours, theirs))
    torch.testing.assert_close(*gradients)


def test_without_dropout_it_is_torchs():
    x = heads()
    torch.testing.assert_close(causal_attention(x, Dropout(0.0)), F.scaled_dot_product_attention(*x, is_causal=True))


@pytest.mark.parametrize("width", [1, 7, 16, 33])
def test_softmax_is_torchs(width):
    x = torch.randn(4, 3, width)
    torch.testing.assert_close(softmax(x), x.softmax(2))


def test_the_last_position_alone_equals_causal_attention_there():
    q, k, v = heads().detach()
    length, layer = torch.tensor([5, 1, 3]), Dropout(0.5).eval()
    everywhere = causal_attention(torch.stack([q, k, v]), layer)
    at = (length - 1)[:, None, None, None].expand(-1, 2, 1, 4)
    torch.testing.assert_close(last_attention(q.gather(2, at), k, v, length, layer), everywhere.gather(2, at))


def test_rotation_by_a_given_place_equals_rotation_in_place():
    x = torch.randn(2, 3, 6, 4)
    torch.testing.assert_close(rotate(x[:, :, 4:5], torch.tensor([4])), rotate(x)[:, :, 4:5])


@pytest.mark.parametrize(
    "build",
    [
        lambda: TransformerEncoder(9, 8, 6, heads=2, inner=16),
        lambda: TransformerEncoder(9, 8, 6, heads=2, inner=16, layers=1, norm="pre"),
        lambda: TransformerEncoder(9, 8, 6, heads=2, inner=16, padding="left"),
        lambda: TransformerEncoder(9, 8, 6, heads=2, inner=16, positions="rotary", norm="pre"),
        lambda: GRUEncoder(9, 8, 6, hidden=5),
    ],
)
def test_the_end_alone_equals_the_state_there_in_value_and_gradient(build):
    torch.manual_seed(0)
    encoder = build().double().eval()
    items, length = torch.randint(9, (5, 6)), torch.tensor([6, 1, 4, 2, 6])
    states = encoder(items, length)[torch.arange(5), length - 1]
    ends = encoder.last(items, length)
    torch.testing.assert_close(ends, states)
    weight = torch.randn(5, 8, dtype=torch.float64)
    for a, b in zip(*(torch.autograd.grad((h * weight).sum(), list(encoder.parameters())) for h in (ends, states)),
                    strict=True):  # fmt: skip
        torch.testing.assert_close(a, b)


def test_an_empty_history_has_a_zero_vector_and_finite_gradients():
    encoder = TransformerEncoder(9, 8, 6, heads=2, inner=16)
    last = encoder.last(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 2]))
    assert bool((last[0] == 0).all()) and bool((last[1] != 0).any())
    last.square().sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in encoder.parameters())


def test_training_on_the_cpu_takes_no_fused_kernel(monkeypatch):
    monkeypatch.setattr(part.F, "scaled_dot_product_attention", None)
    encoder = TransformerEncoder(9, 8, 6, heads=2, inner=16)
    assert encoder(torch.tensor([[1, 2]]), torch.tensor([2])).shape == (1, 2, 8)
