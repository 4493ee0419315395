"""Every objective says what it reduces to, and no claim is without its test."""

import pytest

import gcl.losses as L
from tests.losses import test_identities_energies as energies
from tests.losses import test_identities_memory as memory
from tests.losses import test_identities_metric as metric
from tests.losses import test_identities_softmax as softmax
from tests.losses import test_identities_views as views
from tests.losses.identities import claim_of

TESTED = [claim_of(key) for part in (softmax, views, memory, metric, energies) for key in part.CLAIMS]


@pytest.mark.parametrize("name", L.catalogue())
def test_every_claim_of_an_objective_is_tested(name):
    """A claim is tested under its objective's name and its first words, by value and gradient of both sides."""
    claims = L.catalogue()[name].reduces
    assert claims, f"{name} says nothing"
    for claim in claims:
        assert any(of == name and claim.startswith(start) for of, start in TESTED), f"untested: {claim}"


@pytest.mark.parametrize(("name", "start"), dict.fromkeys(TESTED))
def test_every_tested_claim_is_made(name, start):
    """Once and only once, so that the words of a test say which claim it is of."""
    assert sum(claim.startswith(start) for claim in L.catalogue()[name].reduces) == 1
