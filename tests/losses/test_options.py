"""What is given beside the rows is held against its shape, type and range, and errors name it."""

import math

import pytest
import torch

import gcl.losses as L
from gcl.errors import InputError
from gcl.losses import Contrast, catalogue
from gcl.losses.checks import expect_within
from gcl.losses.scan import objective_of
from gcl.losses.slots import AngularShift, Below, Similarity

B, M, D = 6, 8, 4


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


Z1, Z2, LABELS = draw(B, D), draw(M, D, seed=1), torch.arange(B) // 2
WIDE, PARTS = draw(B, 2), tuple(draw(B, D, seed=s) for s in range(4))
VIEWS = draw(3, B, D)

SHAPES = {
    "CLAIF, a column": (lambda: L.CLAIF()(Z1, Z2, scores=torch.ones(B, 1)), r"scores must be \[6\], .*got \[6, 1\]"),
    "CLAIF, short": (lambda: L.CLAIF()(Z1, Z2, scores=torch.ones(5)), r"scores must be \[6\], .*got \[5\]"),
    "CLAIF, a number": (lambda: L.CLAIF()(Z1, Z2, scores=0.5), r"scores must be \[6\], .*got float"),
    "SampledSoftmax, a column": (
        lambda: L.SampledSoftmax()(Z1, Z2, log_q=torch.zeros(M, 1)),
        r"log_q must be \[8\], one number a row of z2, got \[8, 1\]",
    ),
    "SampledSoftmax, short": (lambda: L.SampledSoftmax()(Z1, Z2, log_q=torch.zeros(B)), r"log_q must be \[8\].*\[6\]"),
    "SepCLR, numbers of rows": (
        lambda: L.SepCLR()(PARTS, target=torch.tensor([0, 2])),
        r"target must be \[6\], one bool a row, got \[2\]",
    ),
    "SepCLR, whole numbers": (
        lambda: L.SepCLR()(PARTS, target=torch.arange(B)),
        r"target must be bool, .*got torch.int64\. Compare it",
    ),
    "SepCLR, attributes": (lambda: L.SepCLR()(PARTS, attributes=WIDE), r"attributes must be \[6\], .*got \[6, 2\]"),
    "CWCL": (lambda: L.CWCL()(Z1, Z2, teacher=draw(B, 3)), r"teacher must be \[8, e\], .*got \[6, 3\]"),
    "ClusterNegatives": (
        lambda: L.ClusterNegatives()(Z1, Z2, clusters=LABELS),
        r"clusters must be \[8\], one cluster a row of z2, got \[6\]",
    ),
    "GuidedInfoNCE": (lambda: L.GuidedInfoNCE()(Z1, Z2, guide=Z1), r"guide must be \[8, e\], .*got \[6, 4\]"),
    "GuidedInfoNCE, anchors": (lambda: L.GuidedInfoNCE()(Z1, Z2, guide=(Z2, Z2)), r"guide\[0\] must be \[6, e\]"),
    "GuidedInfoNCE, candidates": (
        lambda: L.GuidedInfoNCE()(Z1, Z2, guide=(Z1, draw(M, 3))),
        r"guide\[1\] must be \[8, 4\], .*got \[8, 3\]",
    ),
    "GuidedInfoNCE, three": (lambda: L.GuidedInfoNCE()(Z1, Z2, guide=(Z1, Z2, Z2)), "guide must be a pair.*got 3"),
    "HardNegativeInfoNCE": (
        lambda: L.HardNegativeInfoNCE()(Z1, Z2, hard=Z1),
        r"hard must be \[6, h, 4\], h hard negatives a row of z1, got \[6, 4\]",
    ),
    "CLP": (
        lambda: L.CLP()(Z1, Z2, hard=draw(B, 2, D), queries=draw(B, 3, D)),
        r"queries must be \[6, 2, 4\], .*got \[6, 3, 4\]",
    ),
    "DCLR": (lambda: L.DCLR()(Z1, Z2, reference=Z1), r"reference must be \[8, e\], .*got \[6, 4\]"),
    "DecoupledUniformity": (
        lambda: L.DecoupledUniformity()(VIEWS, prior=draw(5, 2)),
        r"prior must be \[6, p\], .*got \[5, 2\]",
    ),
    "WSP": (lambda: L.WSP()(Z1, LABELS, positions=torch.ones(5)), r"positions must be \[6\], .*got \[5\]"),
    "ConR, predictions": (lambda: L.ConR()(Z1, LABELS, predictions=WIDE), r"predictions must be \[6\].*got \[6, 2\]"),
    "ConR, rarity": (lambda: L.ConR()(Z1, LABELS, rarity=torch.ones(B, 1)), r"rarity must be \[6\].*got \[6, 1\]"),
    "MultiSimilarity": (
        lambda: L.MultiSimilarity((0.5, 0.2))(Z1, LABELS, levels=torch.zeros(1, 5)),
        r"levels must be \[6\], .*got \[5\]",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name):
    call, text = SHAPES[name]
    with pytest.raises(ValueError, match=text):
        call()


RANGES = {
    "CLAIF": (lambda: L.CLAIF()(Z1, Z2, scores=torch.full((B,), 4.5)), "scores must be in 0 .. 1, .*got 4.5 to 4.5"),
    "CLAIF, nan": (lambda: L.CLAIF()(Z1, Z2, scores=torch.full((B,), math.nan)), "scores must be in 0 .. 1, .*got nan"),
    "ICon": (lambda: L.ICon()(Z1, Z2, targets=draw(B, M) - 9), "targets must be finite and at least 0, .*got -"),
    "ICon, infinite": (
        lambda: L.ICon()(Z1, Z2, targets=torch.full((B, M), math.inf)),
        "targets must be finite and at least 0, .*got inf",
    ),
    "ICon, sparse": (
        lambda: L.ICon()(Z1, Z2, targets=(-torch.eye(B, M)).to_sparse()),
        "targets must be finite and at least 0, .*got -1 to -1",
    ),
    "GML": (
        lambda: L.GML(prior=[0.5, 0.5])(Z1, LABELS),
        "labels must be in 0 .. 1, the labels that prior has a number for, got 0 to 2",
    ),
    "GatedContrast": (
        lambda: L.GatedContrast(classes=2).build(1, D).double()(Z1, LABELS),
        "labels must be in 0 .. 1, as many as classes, got 0 to 2",
    ),
    "GatedContrast, real labels": (
        lambda: L.GatedContrast(classes=2).build(1, D).double()(Z1, LABELS.double()),
        "labels must be whole numbers in 0 .. 1, .*got torch.float64",
    ),
}


@pytest.mark.parametrize("name", RANGES)
def test_ranges(name):
    call, text = RANGES[name]
    with pytest.raises(ValueError, match=text):
        call()


@pytest.mark.parametrize("name", ["SogCLR", "ISogCLR", "TempNet", "SampledSoftmax", "InterCLR"])
@pytest.mark.parametrize("wrong", [7, -1])
def test_ids_beyond_the_tables(name, wrong):
    loss = catalogue()[name]().build(7, D).double()
    ids = torch.tensor([0, 1, 2, 3, 4, wrong])
    text = (
        rf"ids must be in 0 \.\. 6, the ids that objective\.build\(num_ids, dim\) made room for, got {min(wrong, 0)} to"
    )
    with pytest.raises(ValueError, match=text):
        loss(Z1, draw(B, D, seed=2), ids)
    assert math.isfinite(loss(Z1, draw(B, D, seed=2), torch.arange(B)).item())


def test_values_on_an_accelerator_are_not_waited_for():
    expect_within("scores", torch.empty(3, device="meta"), 0, 1, "never read")
    expect_within("scores", torch.empty(0), 0, 1, "none")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: L.MVInfoNCE()(VIEWS.long()), "views must be floating point, got torch.int64"),
        (
            lambda: L.BPR()(torch.arange(3), torch.arange(6).view(3, 2)),
            "ranking .*scores must be floating point, got torch.int64, torch.int64",
        ),
        (lambda: L.BPR()(torch.ones(3), torch.arange(6).view(3, 2)), "got torch.float32, torch.int64"),
        (lambda: L.InfoNCE()(Z1, Z1, torch.zeros(B)), "ids must be integers, got torch.float32"),
    ],
)
def test_types_of_inputs(call, text):
    with pytest.raises(ValueError, match=text):
        call()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Contrast(kernel={"name": "pair_rank", "phy": "hinge"}), r"kernel 'pair_rank' has no .*'phy'.*'phi'\?"),
        (lambda: Contrast(kernel={"name": "negatives", "positive": "sum"}), r"kernel 'negatives'.*mean 'positives'\?"),
        (lambda: Contrast(similarity={"name": "power", "gama": 1}), r"similarity 'power' has no .*mean 'gamma'\?"),
        (lambda: Contrast(margin={"name": "none", "m": 1}), "margin 'none' has no argument 'm'. It takes none"),
        (
            lambda: Contrast(margin={"name": "simo", "alpha": 1}),
            "margin 'simo' needs negatives, temperature, got alpha",
        ),
        (lambda: Contrast(similarity="shifted"), "similarity 'shifted' needs center, got no arguments"),
        (
            lambda: Contrast(temperature={"name": "learnable", "start": 1}),
            "temperature 'learnable' has no argument 'start'",
        ),
        (
            lambda: objective_of({"name": "InfoNCE", "temprature": 1}),
            r"objective 'InfoNCE' has no .*mean 'temperature'\?",
        ),
        (lambda: L.Sum([{"name": "BPR", "m": 1}]), "objective 'BPR' has no argument 'm'. It takes none"),
    ],
)
def test_arguments_of_parts(call, text):
    with pytest.raises(InputError, match=text):
        call()


def test_the_negatives_kernel_takes_the_arguments_that_are_left():
    kernel = Contrast(kernel={"name": "negatives", "positives": "sum"}).kernel
    assert (kernel.denominator, kernel.positives) == ("negatives", "sum")


def _numbers():
    """Name of an objective and of one of its arguments that is a real number."""
    found = {name: cls().arguments for name, cls in catalogue().items()}
    return [(name, key) for name, values in found.items() for key, x in values.items() if isinstance(x, float)]


@pytest.mark.parametrize(("name", "argument"), _numbers())
def test_no_argument_may_be_nan(name, argument):
    with pytest.raises(ValueError, match=f"{argument}.*must.*nan"):
        catalogue()[name](**{argument: math.nan})


def test_nan_in_lists_and_slots():
    with pytest.raises(ValueError, match=r"weights must be a number, got \[1.0, nan\]"):
        L.Sum(weights=[1.0, math.nan])
    with pytest.raises(ValueError, match="above must be a number, got nan"):
        Contrast(kernel={"name": "pointwise", "above": math.nan})


class Signs(Similarity):
    """The dot product of signs, over the width: never beyond 1."""

    bounded = True

    def left(self, a):
        return a.sign() / a.shape[1] ** 0.5


@pytest.mark.parametrize("margin", ["angular", "multiplied", "norm", "batch_norm", AngularShift(0.1)])
@pytest.mark.parametrize("similarity", ["dot", "square_euclidean", "euclidean", "student", "bilinear", "mixed"])
def test_angular_margins_need_a_cosine(margin, similarity):
    text = r"margin .*similarity must stay in \[-1, 1\], got .*\. Take similarity='cosine', or a margin without angles"
    with pytest.raises(InputError, match=text):
        Contrast(similarity=similarity, margin=margin)


def test_other_parts_that_turn_angles():
    with pytest.raises(InputError, match=r"weighting Curricular .*got Dot"):
        Contrast(similarity="dot", weighting="curricular")
    with pytest.raises(InputError, match=r"margin AngularShift .*got Dot"):
        L.InfoNCE(similarity="dot", margin="angular")


def test_what_goes_with_any_similarity():
    for margin in (None, 0.2, "additive", {"name": "simo", "alpha": 9, "negatives": 3, "temperature": 1.0}):
        Contrast(similarity="dot", margin=margin, weighting=Below(0.9))
    for similarity in ("cosine", "bits", {"name": "shifted", "center": [0.0] * D}, Signs()):
        assert math.isfinite(Contrast(similarity=similarity, margin="angular").double()(Z1, Z2).item())
