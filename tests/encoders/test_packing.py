"""Rows of items alone against padded sequences."""

import pytest
import torch

from gcl.encoders import GRUEncoder, TransformerEncoder
from gcl.encoders.packing import Packing

LENGTH = torch.tensor([3, 0, 1, 4])
INSIDE = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (3, 3)]


def test_rows_stand_sequence_after_sequence():
    packing = Packing(LENGTH, 4)
    assert list(zip(packing.owner.tolist(), packing.place.tolist(), strict=True)) == INSIDE
    assert packing.ends.tolist() == [2, 3, 4, 8]
    x = torch.randn(9, 5)
    padded = packing.unpack(x)
    assert bool((padded[LENGTH.clamp_min(1)[:, None] <= torch.arange(4)] == 0).all())
    assert torch.equal(torch.stack([padded[at] for at in INSIDE]), x)


@pytest.mark.parametrize(("parts", "heads"), [(3, 2), (2, 1), (1, 3)])
def test_padding_and_picking_are_the_formula_in_value_and_gradient(parts, heads):
    packing, width = Packing(LENGTH, 4), 2
    x = torch.randn(9, parts * heads * width, dtype=torch.float64, requires_grad=True)
    padded = packing.pad(x, parts, heads)
    for row, (b, t) in enumerate(INSIDE):
        assert torch.equal(padded[:, b, :, t].flatten(), x[row])
    assert torch.equal(padded[:, 0, :, 3].flatten(), x[2]), "padding repeats the last item"
    torch.testing.assert_close(packing.pick(padded[0]), x[:, : heads * width])
    weight = torch.randn_like(padded)
    (found,) = torch.autograd.grad((padded * weight).sum(), x)
    torch.testing.assert_close(found, torch.stack([weight[:, b, :, t].flatten() for b, t in INSIDE]))
    one = torch.randn(4, heads, 4, width, dtype=torch.float64, requires_grad=True)
    picked = packing.pick(one)
    weight = torch.randn_like(picked)
    (found,) = torch.autograd.grad((picked * weight).sum(), one)
    expected = torch.zeros_like(one)
    for row, (b, t) in enumerate(INSIDE):
        expected[b, :, t] = weight[row].view(heads, width)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("arguments", [{}, {"norm": "pre", "positions": "rotary"}, {"padding": "left"}])
def test_gradients_do_not_depend_on_the_company_of_longer_sequences(arguments):
    torch.manual_seed(0)
    encoder = TransformerEncoder(9, 8, 6, heads=2, inner=16, dropout=0.0, **arguments).double()
    items, length = torch.randint(9, (4, 6)), torch.tensor([2, 6, 1, 4])
    for read in (encoder.states, encoder.last):
        encoder.zero_grad()
        read(items, length).square().sum().backward()
        together = [p.grad.clone() for p in encoder.parameters()]
        encoder.zero_grad()
        for row, n in zip(items, length.tolist(), strict=True):
            read(row[None, :n], torch.tensor([n])).square().sum().backward()
        for found, p in zip(together, encoder.parameters(), strict=True):
            torch.testing.assert_close(found, p.grad)


@pytest.mark.parametrize("build", [TransformerEncoder, GRUEncoder])
def test_states_are_those_of_the_items(build):
    encoder = build(9, 8, 4).eval()
    items = torch.randint(9, (4, 4))
    everywhere = encoder(items, LENGTH)
    torch.testing.assert_close(encoder.states(items, LENGTH), torch.stack([everywhere[at] for at in INSIDE]))


@pytest.mark.parametrize("build", [TransformerEncoder, GRUEncoder])
def test_no_sequence_has_no_state(build):
    encoder = build(9, 8, 4).eval()
    items, length = torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    assert encoder.last(items, length).shape == (0, 8) and encoder.states(items, length).shape == (0, 8)
