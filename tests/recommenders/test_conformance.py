"""Every recommender of gcl against the shipped suite, and models that break a rule."""

import pytest
import torch

from gcl.errors import InputError
from gcl.recommenders.base import Recommender
from gcl.recommenders.general.adagcl import AdaGCL
from gcl.recommenders.general.bprmf import BPRMF
from gcl.recommenders.general.contrastive import Contrastive
from gcl.recommenders.general.dccf import DCCF
from gcl.recommenders.general.directau import DirectAU
from gcl.recommenders.general.ease import EASE
from gcl.recommenders.general.hccf import HCCF
from gcl.recommenders.general.lightgcl import LightGCL
from gcl.recommenders.general.lightgcn import LightGCN
from gcl.recommenders.general.ncl import NCL
from gcl.recommenders.general.popularity import Popularity
from gcl.recommenders.general.sgl import SGL
from gcl.recommenders.general.simgcl import SimGCL
from gcl.recommenders.general.xsimgcl import XSimGCL
from gcl.testing import check_recommender, tiny_dataset
from gcl.views import SVD, AdversarialNoise, DropEdge, DropNode, EdgeGates, EdgeMask, Intents, Noise, RandomWalk


@pytest.mark.parametrize(
    "build",
    [
        Popularity,
        EASE,
        lambda data: BPRMF(data, dim=8, negatives=2),
        lambda data: LightGCN(data, dim=8),
        lambda data: LightGCN(data, dim=8, layers=0),
        lambda data: LightGCN(data, dim=8, readout="sum"),
        lambda data: LightGCN(data, dim=8, readout="last"),
        lambda data: Contrastive(data, dim=8, views=[DropEdge(0.2), [DropEdge(0.1), Noise(0.1)]]),
        lambda data: Contrastive(data, dim=8, views=[EdgeGates(0.7), SVD(3)]),
        lambda data: Contrastive(data, dim=8, views=[EdgeGates(0.7, adversarial=True), Noise(0.1)]),
        lambda data: Contrastive(data, dim=8, views=[[EdgeGates(0.7, "straight_through"), Intents(4)]]),
        lambda data: SGL(data, dim=8),
        lambda data: SGL(data, dim=8, views=[DropNode(0.2)]),
        lambda data: SGL(data, dim=8, views=[RandomWalk(0.2)]),
        lambda data: SimGCL(data, dim=8),
        lambda data: SimGCL(data, dim=8, candidates="all"),
        lambda data: XSimGCL(data, dim=8),
        lambda data: XSimGCL(data, dim=8, views=[[DropEdge(0.2), Noise(0.1)]], contrast_layer=2),
        lambda data: XSimGCL(data, dim=8, views=[[EdgeMask(), Intents(4), Noise(0.1)]]),
        lambda data: XSimGCL(data, dim=8, views=[[EdgeGates(0.7), AdversarialNoise(0.1)]]),
        lambda data: DirectAU(data, dim=8),
        lambda data: LightGCL(data, dim=8, p=0.2),
        lambda data: LightGCL(data, dim=8, views=[[EdgeGates(0.7, adversarial=True), Noise(0.1)]]),
        lambda data: DCCF(data, dim=8, intents=4),
        lambda data: DCCF(data, dim=8, intents=4, layout="sslrec", decay=1e-4, independence=0.1, negatives=2),
        lambda data: AdaGCL(data, dim=8),
        lambda data: AdaGCL(data, dim=8, layers=1, negatives=2, gate_low=-0.95),
        lambda data: AdaGCL(data, dim=8, drop=0.3),
        lambda data: HCCF(data, dim=8, hyperedges=6),
        lambda data: NCL(data, dim=8, clusters=4, warm_up=0),
        lambda data: NCL(data, dim=8, clusters=4, hops=2, layers=1),
    ],
)
def test_recommender_holds_its_contract(build):
    check_recommender(build)


class Idle(BPRMF):
    def __init__(self, data):
        super().__init__(data, dim=4)
        self.unused = torch.nn.Parameter(torch.zeros(3))


class Random(BPRMF):
    def scores(self, query):
        return super().scores(query) + torch.rand(())


class Silent(Popularity):
    answers = frozenset({"users"})


@pytest.mark.parametrize(
    ("build", "rule"),
    [
        (Idle, "parameters that no term moves: unused"),
        (lambda data: Random(data, dim=4), "scoring twice in eval mode"),
        (Silent, "cannot answer histories must say so"),
    ],
)
def test_the_suite_catches_what_it_says(build, rule):
    with pytest.raises(AssertionError, match=rule):
        check_recommender(build)


def test_needs_are_checked():
    class Ordered(Popularity):
        needs = frozenset({"time"})

    class Seeing(Popularity):
        needs = frozenset({"modalities"})

    data = tiny_dataset(time=False)
    with pytest.raises(ValueError, match="Ordered needs the order of interactions, and 'tiny' has no time"):
        Ordered(data)
    Seeing(data)
    object.__setattr__(data, "modalities", {})
    with pytest.raises(ValueError, match="Seeing needs item modalities, and 'tiny' has none"):
        Seeing(data)


def test_an_abstract_recommender_says_what_is_missing():
    model = Recommender(tiny_dataset())
    with pytest.raises(ValueError, match="scores items directly and has no vectors"):
        model.items()
    with pytest.raises(InputError, match=r"Recommender has no losses; write losses\(batch\), or fit_closed"):
        model.losses(None)
    with pytest.raises(
        InputError, match=r"Recommender has no closed form; write fit_closed\(data\), or give it phases"
    ):
        model.fit_closed(tiny_dataset())
