"""Encoders of sequences: causal, blind to padding, right in both ways of counting positions."""

import pytest
import torch

from gcl.encoders import GRUEncoder, TransformerEncoder
from gcl.encoders.attention import last_attention, rotate
from gcl.encoders.dropout import Dropout
from gcl.encoders.sequence import ROWS, cut
from gcl.views.sequence import MASKED


def transformer(**arguments):
    torch.manual_seed(0)
    return TransformerEncoder(9, 8, 6, heads=2, inner=16, **arguments).eval()


ENCODERS = [
    transformer,
    lambda: transformer(norm="pre"),
    lambda: transformer(padding="left"),
    lambda: transformer(positions="rotary"),
    lambda: GRUEncoder(9, 8, 6, hidden=5).eval(),
]


@pytest.mark.parametrize("build", ENCODERS)
def test_states_do_not_see_what_comes_later_or_padding(build):
    encoder = build()
    items, length = torch.tensor([[1, 2, 3, 4, 5]]), torch.tensor([5])
    states = encoder(items, length)
    changed = encoder(torch.tensor([[1, 2, 3, 8, 0]]), length)
    torch.testing.assert_close(states[:, :3], changed[:, :3])
    assert not torch.allclose(states[:, 3], changed[:, 3])
    short = encoder.last(torch.tensor([[1, 2, 3]]), torch.tensor([3]))
    padded = encoder.last(torch.tensor([[1, 2, 3, 7, 7]]), torch.tensor([3]))
    torch.testing.assert_close(short, padded)


@pytest.mark.parametrize("build", ENCODERS)
def test_rows_are_answered_alike_in_any_company(build):
    encoder = build()
    generator = torch.Generator().manual_seed(0)
    items = torch.randint(9, (ROWS + 40, 11), generator=generator)
    length = torch.randint(0, 12, (ROWS + 40,), generator=generator)
    with torch.no_grad():
        bucketed = encoder.last(items, length)
        single = torch.cat([encoder.last(items[i : i + 1], length[i : i + 1]) for i in range(40)])
    torch.testing.assert_close(bucketed[:40], single)
    torch.testing.assert_close(bucketed, encoder.last(items, length).detach())
    assert bool((bucketed[length == 0] == 0).all())


def test_cut_keeps_the_latest_items():
    items, length = cut(torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]), torch.tensor([4, 2]), 3)
    assert items.tolist() == [[2, 3, 4], [5, 6, 0]] and length.tolist() == [3, 2]


def test_left_padding_counts_positions_back_from_the_latest():
    encoder = transformer(padding="left")
    reference = transformer()
    reference.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        reference.position.copy_(torch.roll(encoder.position, -2, 0))
    items, length = torch.tensor([[1, 2, 3, 4]]), torch.tensor([4])
    torch.testing.assert_close(encoder(items, length), reference(items, length))


def test_post_norm_block_equals_the_formula():
    encoder = transformer(layers=1)
    block, items = encoder.blocks[0], torch.tensor([[1, 2, 3]])
    x = encoder.norm(encoder.table[items] + encoder.position[:3])
    q, k, v = block.mix(x).chunk(3, -1)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        weight = (q[..., part] @ k[..., part].transpose(1, 2) / 2).masked_fill(~torch.ones(3, 3).tril().bool(), -1e4)
        heads.append(weight.softmax(-1) @ v[..., part])
    x = block.norms[0](x + block.out(torch.cat(heads, -1)))
    x = block.norms[1](x + block.down(torch.nn.functional.gelu(block.up(x))))
    torch.testing.assert_close(encoder(items, torch.tensor([3])), x)


def test_pre_norm_block_equals_the_formula():
    encoder = transformer(layers=2, norm="pre")
    items = torch.tensor([[1, 2, 3]])
    x = encoder.table[items] + encoder.position[:3]
    for block in encoder.blocks:
        q, k, v = block.mix(block.norms[0](x)).chunk(3, -1)
        x = x + block.out(attended(q, k, v))
        x = x + block.down(torch.nn.functional.gelu(block.up(block.norms[1](x))))
    torch.testing.assert_close(encoder(items, torch.tensor([3])), encoder.norm(x))


def test_rotary_block_turns_queries_and_keys():
    encoder = transformer(layers=1, positions="rotary")
    block, items = encoder.blocks[0], torch.tensor([[1, 2, 3]])
    x = encoder.norm(encoder.table[items])
    q, k, v = block.mix(x).chunk(3, -1)
    q, k = (torch.cat([rotate(part) for part in t.split(4, -1)], -1) for t in (q, k))
    x = block.norms[0](x + block.out(attended(q, k, v)))
    x = block.norms[1](x + block.down(torch.nn.functional.gelu(block.up(x))))
    torch.testing.assert_close(encoder(items, torch.tensor([3])), x)


def attended(q, k, v):
    """Causal attention of two heads of width 4."""
    heads, later = [], ~torch.ones(q.shape[1], q.shape[1]).tril().bool()
    for part in (slice(0, 4), slice(4, 8)):
        weight = (q[..., part] @ k[..., part].transpose(1, 2) / 2).masked_fill(later, -1e4)
        heads.append(weight.softmax(-1) @ v[..., part])
    return torch.cat(heads, -1)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("positions", ["learnt", "rotary"])
@pytest.mark.parametrize("padding", ["right", "left"])
def test_the_last_state_is_that_of_all_states(norm, positions, padding, training):
    encoder = transformer(norm=norm, positions=positions, padding=padding, dropout=0.0).train(training)
    torch.nn.init.normal_(encoder.table)
    items = torch.randint(9, (5, 6), generator=torch.Generator().manual_seed(0))
    length = torch.tensor([6, 1, 4, 2, 5])
    states = encoder(items, length)[torch.arange(5), length - 1]
    torch.testing.assert_close(encoder.last(items, length), states)


class Nothing(Dropout):
    """Drops all."""

    def __init__(self):
        super().__init__(0.5)

    def forward(self, x):
        return torch.zeros_like(x)


def test_dropout_is_of_the_input_of_attention_and_of_what_blocks_add():
    items, length = torch.tensor([[1, 2, 3]]), torch.tensor([3])
    for build in (lambda: GRUEncoder(9, 8, 6), transformer):
        encoder = build()
        encoder.dropout = Nothing()
        assert torch.equal(encoder(items, length), encoder(items + 2, length))
    encoder = transformer(layers=1)
    encoder.blocks[0].dropout = Nothing()
    x = encoder.norm(encoder.table[items] + encoder.position[:3])
    for norm in encoder.blocks[0].norms:
        x = norm(x)
    torch.testing.assert_close(encoder(items, length), x)
    q = torch.randn(2, 2, 1, 4)
    k, v = torch.randn(2, 2, 2, 3, 4)
    assert bool((last_attention(q, k, v, torch.tensor([3, 2]), Nothing()) == 0).all())


def test_rotated_products_depend_on_distance_alone():
    q, k = torch.randn(1, 4).expand(6, 4), torch.randn(1, 4).expand(6, 4)
    scores = rotate(q) @ rotate(k).T
    torch.testing.assert_close(scores[:-1, :-1], scores[1:, 1:])


def test_masked_items_have_their_own_row():
    encoder = transformer()
    rows = encoder.look_up(torch.tensor([[MASKED, 8]]))
    assert torch.equal(rows[0, 0], encoder.table[9]) and torch.equal(rows[0, 1], encoder.table[8])
    assert encoder.items().shape == (9, 8)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TransformerEncoder(9, 8, norm="mid"), "norm must be 'post' or 'pre', got 'mid'"),
        (lambda: TransformerEncoder(9, 8, positions="sine"), "positions must be 'learnt' or 'rotary', got 'sine'"),
        (lambda: TransformerEncoder(9, 8, padding="both"), "padding must be 'right' or 'left', got 'both'"),
        (lambda: TransformerEncoder(9, 7, heads=2), "heads must divide dim, got heads=2 and dim=7"),
        (lambda: TransformerEncoder(9, 6, heads=2, positions="rotary"), "into an even width for rotary positions"),
        (lambda: TransformerEncoder(9, 8, dropout=1.0), r"dropout must lie in \[0, 1\), got 1.0"),
        (lambda: TransformerEncoder(9, 8, layers=0), "layers and inner must be at least 1, got 0 and 256"),
        (lambda: TransformerEncoder(9, 8, 0), "max_length must be at least 1, got 0"),
        (lambda: TransformerEncoder(9, 0), "dim must be at least 1, got 0"),
        (lambda: GRUEncoder(9, 8, hidden=0), "layers and hidden must be at least 1, got 1 and 0"),
        (lambda: GRUEncoder(9, 8, dropout=-0.1), r"dropout must lie in \[0, 1\), got -0.1"),
    ],
)
def test_bad_arguments_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
