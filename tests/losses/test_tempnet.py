"""Temperatures predicted by a network: its formula, and who gets which gradient."""

import pytest
import torch

from gcl.losses import TempNet
from tests.losses.reference import cosines, mean, units
from tests.losses.test_adaptive import IDS, log_means, negatives

NAMES = ("mixer.weight", "mixer.bias", "prototypes", "kappa", "head.weight", "head.bias")


def built(**arguments):
    """A network all of whose numbers matter."""
    torch.manual_seed(0)
    loss = TempNet(**{"prototypes": 6, "low": 0.1, "high": 0.5, "dropout": 0.0, **arguments}).build(9, 5).double()
    with torch.no_grad():
        loss.kappa.fill_(0.3)
        for weight in (loss.mixer.weight, loss.prototypes, loss.head.weight):
            weight.copy_(2 * torch.randn_like(weight))
        loss.head.bias.fill_(0.2)
    return loss


def numbers(loss):
    return [dict(loss.named_parameters())[name].detach().clone().requires_grad_() for name in NAMES]


def naive_temperatures(z, numbers, low=0.1, high=0.5, kept=None):
    """low + (high - low) sigmoid(<a, w sigmoid(p)> + b), w = softmax(p / κ) - 1 / M₀, p = sigmoid(W x) R^T."""
    matrix, shift, centres, kappa, a, b = numbers
    taus = []
    for i in range(len(z)):
        mixed = 1 / (1 + torch.exp(-(matrix @ z[i] + shift)))
        mixed = mixed if kept is None else mixed * kept[i]
        p = [mixed @ c / c.norm() for c in centres]
        total = sum(torch.exp(x / kappa) for x in p)
        gates = [(torch.exp(x / kappa) / total - 1 / len(p)) / (1 + torch.exp(-x)) for x in p]
        taus.append(low + (high - low) / (1 + torch.exp(-(sum(a[0, m] * g for m, g in enumerate(gates)) + b[0]))))
    return torch.stack(taus)


def test_temperatures_are_their_formula(views):
    loss, weights = built(), torch.linspace(-1, 2, 9, dtype=torch.float64)
    z, plain = views[0].clone().requires_grad_(), numbers(loss)
    tau, expected = loss.temperatures(z), naive_temperatures(views[0], plain)
    torch.testing.assert_close(tau, expected)
    assert bool(((tau > 0.1) & (tau < 0.5)).all()) and tau.std() > 0.02
    (weights * tau).sum().backward()
    assert z.grad is None, "features of the network are constants"
    grads = torch.autograd.grad((weights * expected).sum(), plain)
    for name, grad in zip(NAMES, grads, strict=True):
        torch.testing.assert_close(dict(loss.named_parameters())[name].grad, grad, msg=name)
        assert grad.abs().max() > 1e-6, name


def test_dropout_is_on_the_mixed_features(views):
    loss = built(dropout=0.5)
    torch.manual_seed(1)
    tau = loss.temperatures(views[0])
    torch.manual_seed(1)
    kept = torch.nn.functional.dropout(torch.ones(9, 5, dtype=torch.float64), 0.5)
    torch.testing.assert_close(tau, naive_temperatures(views[0], numbers(loss), kept=kept))
    torch.testing.assert_close(loss.eval().temperatures(views[0]), naive_temperatures(views[0], numbers(loss)))


def naive(a, b, weights, rho, gamma, old=None):
    """The value F, and a sum whose gradient is the surrogate's for rows and the slope's for the network."""
    tau = torch.cat([naive_temperatures(units(z).detach(), weights) for z in (a, b)])
    fixed, s, first, rows = tau.detach(), cosines(torch.cat([a, b]), torch.cat([a, b])), [], []
    sides = [log_means(a.detach(), b.detach(), fixed[part], relative=True)[part] for part in (slice(9), slice(9, 18))]
    new = torch.cat(sides)
    if old is not None:
        new = torch.log((1 - gamma) * torch.exp(old.repeat(2)) + gamma * torch.exp(new))
    for i in range(18):
        h = torch.stack([s[i, k] - s[i, (i + 9) % 18] for k in negatives(s, i, 9)])
        w = (h / fixed[i] - new[i]).exp().detach()
        slope = (new[i] + rho - (w * h / fixed[i]).mean()).detach()
        first.append(fixed[i] * (new[i] + rho))
        rows.append((w * h).mean() + slope * tau[i])
    return mean(first), mean(rows)


@pytest.mark.parametrize("visits", [0, 1])
def test_rows_get_the_surrogate_and_the_network_the_slope_of_its_temperature(views, visits):
    loss = built(rho=0.7, gamma=0.4)
    for _ in range(visits):
        loss(views[2], views[1], IDS)
    old = loss.log_u.clone() if visits else None
    plain, ours, theirs = numbers(loss), [], []
    for z in views[:2]:
        ours.append(z.clone().requires_grad_())
        theirs.append(z.clone().requires_grad_())
    value = loss(*ours, IDS)
    expected, surrogate = naive(*theirs, plain, 0.7, 0.4, old)
    torch.testing.assert_close(value, expected)
    value.backward()
    grads = torch.autograd.grad(surrogate, [*theirs, *plain])
    parameters = [dict(loss.named_parameters())[name] for name in NAMES]
    for leaf, grad in zip([*ours, *parameters], grads, strict=True):
        torch.testing.assert_close(leaf.grad, grad)
        assert grad.abs().max() > 1e-7


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: TempNet(low=1, high=0.5), "0 < low < high must hold, got 1, 0.5"),
        (lambda: TempNet(prototypes=0), "prototypes >= 1"),
    ],
)
def test_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_a_network_that_was_not_built_says_so(views):
    with pytest.raises(RuntimeError, match="TempNet has no weights yet: call objective.build"):
        TempNet()(*views[:2])
