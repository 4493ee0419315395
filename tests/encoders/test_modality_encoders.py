"""Parts of multimodal models: features with missing rows, fusion, DREAM in both forms."""

import pytest
import torch
from torch import nn

from gcl.data import Modality
from gcl.encoders import DREAM, AttentionFusion, BehaviourFusion, Features, Projection
from gcl.encoders.dream import centre
from gcl.encoders.modality import missing_rows_left_out

PRESENT = torch.tensor([True, True, False, True, True])


def modality(dtype=torch.float32):
    torch.manual_seed(0)
    return Modality(torch.randn(5, 6).to(dtype), PRESENT)


def test_features_are_zero_where_missing_and_trained_on_request():
    frozen, tuned = Features(modality(torch.float16)), Features(modality(), finetune=True)
    assert frozen().dtype == torch.float32 and bool((frozen()[2] == 0).all())
    assert not list(frozen.parameters()) and not frozen.state_dict()
    assert list(tuned.state_dict()) == ["values"] and tuned.dim == 6
    rows = torch.tensor([4, 2, 4])
    assert torch.equal(tuned(rows), tuned()[rows]) and tuned.has(rows)[:, 0].tolist() == [1, 0, 1]
    source = modality()
    Features(source, finetune=True).values.data.zero_()
    assert bool((source.values[0] != 0).any()), "the data set keeps its own"
    tuned.hide()
    assert not tuned.has().any() and source.present.any()


def test_frozen_features_are_not_copied_where_missing_rows_are_zero_already():
    there = modality()
    assert Features(there)().data_ptr() != there.values.data_ptr() and bool((there.values[2] != 0).any())
    there.values[2] = 0
    assert Features(there)().data_ptr() == there.values.data_ptr(), "a mapped file stays on disk"
    there.values[2] = torch.nan
    assert bool((Features(there)()[2] == 0).all())


@pytest.mark.parametrize("reduce", [1, 4])
def test_projection_of_some_rows_is_that_of_all(reduce):
    part = Projection(modality(), 3, reduce=reduce, finetune=True)
    rows = torch.tensor([3, 2, 0, 3])
    torch.testing.assert_close(part(rows), part()[rows])
    assert bool((part()[2] == 0).all()) and bool((part.raw()[2] != 0).any())
    assert isinstance(part.narrow, nn.Identity) == (reduce == 1)
    part().sum().backward()
    assert bool((part.features.values.grad[2] == 0).all())
    with pytest.raises(ValueError, match="dim and reduce must be at least 1, got 3 and 0"):
        Projection(modality(), 3, reduce=0)


def test_attention_leaves_missing_rows_out():
    torch.manual_seed(0)
    x, y = torch.randn(4, 3), torch.randn(4, 3)
    x[1], x[2], y[2] = 0, 0, 0
    fusion = AttentionFusion(3, 2)
    shares = fusion.shares([x, y])
    torch.testing.assert_close(shares.sum(0), torch.tensor([1.0, 1.0, 0.0, 1.0]))
    assert shares[0, 1] == 0 and shares[1, 1] == 1
    expected = torch.softmax(torch.stack([fusion.query(x), fusion.query(y)])[:, 0, 0], 0)
    torch.testing.assert_close(shares[:, 0], expected)
    assert bool((fusion([x, y])[2] == 0).all())
    fusion([x, y]).sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in fusion.parameters())
    alone = AttentionFusion(3, 1)
    assert not list(alone.parameters()) and alone([x]) is x and alone.shares([x])[0].tolist() == [1, 0, 0, 1]


def test_behaviour_fusion_is_the_formula():
    torch.manual_seed(0)
    x, y, c = torch.randn(3, 4, 3)
    y[3] = 0
    fusion = BehaviourFusion(3, 2)
    common = fusion.attention([x, y])
    sx, sy = ((rows - common) * torch.sigmoid(g(c)) for rows, g in zip((x, y), fusion.gates, strict=True))
    out = fusion([x, y], c)
    torch.testing.assert_close(out[:3], (sx + sy + common)[:3] / 3)
    torch.testing.assert_close(out[3], (sx + common)[3] / 2)
    assert BehaviourFusion(3, 1)([x], c) is x


@pytest.mark.parametrize("training", [True, False])
def test_dream_on_maps_and_dense_are_equal(training):
    torch.manual_seed(0)
    maps, dense = DREAM(8, "maps"), DREAM(8)
    for norm in [*maps.norms, maps.out_norm]:
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    dense.load_maps(maps)
    maps.train(training), dense.train(training)
    x, y = (t.requires_grad_() for t in (torch.randn(2, 7, 8).unbind()))
    y = x.detach().clone().requires_grad_()
    out, other = maps(x), dense(y)
    torch.testing.assert_close(out, other, rtol=0, atol=1e-5)
    draw = torch.randn_like(out)
    (out * draw).sum().backward()
    (other * draw).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-4)
    taps = [theirs.weight.grad for theirs in maps.branches]
    torch.testing.assert_close(dense.branch.weight.grad, torch.cat([centre(t) for t in taps]), rtol=1e-4, atol=1e-4)
    assert all(t.count_nonzero() <= centre(t).numel() for t in taps), "taps beside the centre get no gradient"
    torch.testing.assert_close(dense.norm.running_var, torch.cat([n.running_var for n in maps.norms]))
    torch.testing.assert_close(dense.out_norm.running_var, maps.out_norm.running_var)


def test_dream_starts_as_the_published_form_and_squares():
    torch.manual_seed(0)
    maps = [b.weight for b in DREAM(64, "maps").branches]
    for weights in (maps, DREAM(64).branch.weight.split(64)):
        span = [float(w.detach().abs().max()) for w in weights]
        assert span == pytest.approx([1 / 8, *[1 / 24] * 3, 1 / 8], rel=0.02)
    block = DREAM(4).eval()
    f = torch.relu(block.norm(block.branch(X)))
    gate = torch.maximum(torch.relu(f @ block.channel.weight.T), torch.sigmoid(f @ block.spatial.weight.T))
    torch.testing.assert_close(block(X), torch.relu(block.out_norm(block.out(f * f * gate))))
    with pytest.raises(ValueError, match="form must be 'dense' or 'maps', got 'conv'"):
        DREAM(4, "conv")
    with pytest.raises(
        ValueError, match="to a dense block of the same width, got dense of width 4 to dense of width 4"
    ):
        block.load_maps(DREAM(4))


X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


def test_missing_rows_do_not_enter_a_block_whose_rows_depend_on_each_other():
    block = nn.BatchNorm1d(4, affine=False)
    present = torch.tensor([True, False, True, True, False, True])
    out = missing_rows_left_out(block, X, present)
    assert bool((out[~present] == 0).all())
    torch.testing.assert_close(out[present].mean(0), torch.zeros(4), atol=1e-6, rtol=0)
    assert torch.equal(missing_rows_left_out(block, X, ~present & present), torch.zeros(6, 4))
    torch.testing.assert_close(missing_rows_left_out(block, X, present | True), block(X))
