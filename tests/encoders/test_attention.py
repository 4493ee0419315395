"""Attention by hand against torch's, and the last position alone against all positions."""

import pytest
import torch
import torch.nn.functional as F

from gcl.encoders import GRUEncoder, TransformerEncoder
from gcl.encoders import attention as part
from gcl.encoders.attention import causal_attention, last_attention, rotate
from gcl.encoders.dropout import Dropout


def qkv(length=5):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 2, length, 4, generator=generator, dtype=torch.float64, requires_grad=True) for _ in "qkv"]


def test_by_hand_equals_torchs_in_value_and_gradient(monkeypatch):
    layer = Dropout(0.5)
    monkeypatch.setattr(Dropout, "forward", lambda self, x: x)
    ours, theirs = causal_attention(*qkv(), layer), F.scaled_dot_product_attention(*qkv(), is_causal=True)
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn(ours.shape, dtype=torch.float64)
    for a, b in zip(*(torch.autograd.grad((f(x) * weight).sum(), x) for f, x in (
        (lambda x: causal_attention(*x, layer), qkv()),
        (lambda x: F.scaled_dot_product_attention(*x, is_causal=True), qkv()),
    )), strict=True):  # fmt: skip
        torch.testing.assert_close(a, b)


def test_the_last_position_alone_equals_causal_attention_there():
    q, k, v = (x.detach() for x in qkv())
    length, layer = torch.tensor([5, 1, 3]), Dropout(0.5).eval()
    everywhere = causal_attention(q, k, v, layer)
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
