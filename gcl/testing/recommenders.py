"""What every recommender must hold."""

from collections.abc import Callable

import torch
from torch import Tensor

from gcl.data import Batch, Dataset, Query, loader
from gcl.errors import InputError
from gcl.recommenders import Recommender
from gcl.testing.data import tiny_dataset


def check_recommender(build: Callable[[Dataset], Recommender], data: Dataset | None = None) -> None:
    """Hold a recommender against its contract.

    Args:
        build: makes the model from a data set; called several times.
        data: the data set; by default :func:`gcl.testing.tiny_dataset`.

    Raises:
        AssertionError: naming the rule that is broken.
    """
    data = data or tiny_dataset()
    model = _seeded(build, data)
    assert "data" not in model.arguments, "the data set must not be kept among the arguments"
    if model.phases():
        _check_gradients(model, data)
    else:
        model.fit_closed(data)
    model.eval()
    with torch.no_grad():
        scores = model.scores(_query(data))
        _check_scores(model, data, scores)
        _check_state(model, build, data, scores)


def batch_of(model: Recommender, data: Dataset, size: int = 64) -> Batch:
    """The first batch that the model's sampling draws from the data set."""
    return next(iter(loader(data, model.sampling, size, torch.Generator().manual_seed(0))))


def _seeded(build: Callable[[Dataset], Recommender], data: Dataset) -> Recommender:
    torch.manual_seed(0)
    model = build(data)
    model.generator = torch.Generator().manual_seed(1)
    return model


def _query(data: Dataset) -> Query:
    from gcl.data import query

    return query(data, torch.arange(min(8, data.num_users)), "valid")


def _check_gradients(model: Recommender, data: Dataset) -> None:
    """Terms are named finite scalars, and each declared parameter is moved by the terms of a phase that declares it."""
    model.train()
    model.begin_epoch(1, torch.Generator().manual_seed(0))
    declared, reached = dict[int, str](), set[int]()
    names = {id(p): name for name, p in model.named_parameters()}
    for phase in model.phases():
        parameters = list(phase.parameters)
        terms = phase.losses(batch_of(model, data))
        assert terms, f"phase {phase.name!r} returned no terms"
        for name, term in terms.items():
            assert term.dim() == 0, f"term {name!r} must be a scalar, got shape {tuple(term.shape)}"
            assert bool(torch.isfinite(term)), f"term {name!r} is not finite: {term.item()}"
        gradients = torch.autograd.grad(sum(terms.values(), torch.zeros(())), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            declared[id(parameter)] = names[id(parameter)]
            if gradient is not None and bool(gradient.abs().sum() > 0):
                assert bool(torch.isfinite(gradient).all()), f"gradient of {names[id(parameter)]!r} is not finite"
                reached.add(id(parameter))
    idle = [name for key, name in declared.items() if key not in reached]
    assert not idle, f"parameters that no term moves: {', '.join(idle)}"
    forgotten = [n for key, n in names.items() if key not in declared and model.get_parameter(n).requires_grad]
    assert not forgotten, f"trainable parameters in no phase: {', '.join(forgotten)}"
    model.after_step(1)


def _check_scores(model: Recommender, data: Dataset, scores: Tensor) -> None:
    """Shape, finiteness, determinism, and scores = queries x items where the model has vectors."""
    query = _query(data)
    expected = (len(query), data.num_items)
    assert scores.shape == expected, f"scores must have shape {expected}, got {tuple(scores.shape)}"
    assert bool(torch.isfinite(scores).all()), "scores must be finite"
    assert torch.equal(model.scores(query), scores), "scoring twice in eval mode must give the same"
    try:
        vectors, items = model.queries(query), model.items()
    except InputError:
        pass
    else:
        assert items.shape[0] == data.num_items, f"items must have {data.num_items} rows, got {items.shape[0]}"
        torch.testing.assert_close(vectors @ items.T, scores, msg="scores must be queries x items")
    history = Query(history=query.history, length=query.length)
    if "histories" in model.answers:
        assert model.scores(history).shape == expected, "a model that answers histories must score them"
    else:
        try:
            model.scores(history)
        except InputError:
            return
        raise AssertionError("a model that cannot answer histories must say so with an InputError")


def _check_state(model: Recommender, build: Callable[[Dataset], Recommender], data: Dataset, scores: Tensor) -> None:
    """All that training changes is in the state dict."""
    other = build(data).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.scores(_query(data)), scores), "a model with the same state dict must score the same"
