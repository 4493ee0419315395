"""What a training does: phases, selection, refit, closed forms, what it says when it cannot go on."""

import logging
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from small import EVALUATE, MF, Counting, Turns, go, same

from gcl.data import Split, loader
from gcl.errors import InputError
from gcl.evaluation import evaluate
from gcl.losses import InfoNCE
from gcl.recommenders import Phase
from gcl.training import NonFiniteLoss, RunDirectory, TrainSettings, checkpoint, generators, train, trainer
from gcl.training.seeds import derive, initialising


@pytest.fixture(autouse=True)
def no_board(monkeypatch):
    class NoBoard:
        def __init__(self, *_):
            pass

        def scalars(self, *_):
            pass

        items = pictures = close = scalars

    monkeypatch.setattr(trainer, "Board", NoBoard)


def lines(path):
    return RunDirectory(path).lines()


def without(data, *parts):
    """The data set with some parts empty."""
    nothing = torch.zeros(0, dtype=torch.int64)
    split = data.split
    kept = {n: getattr(split, n).select(nothing) if n in parts else getattr(split, n) for n in ("valid", "test")}
    return replace(data, split=Split(split.train, **kept))


# --- the loop against one written out -------------------------------------------------------------------------------


class Plain(MF):
    def losses(self, batch):
        z = torch.randn(len(batch), 4, generator=self.generator)
        u = self.user_table(batch.users) + 0.1 * z
        i, j = self.item_table(batch.items), self.item_table(batch.negatives[:, 0])
        return {"rank": F.softplus((u * (j - i)).sum(-1)).mean(), "reg": 1e-3 * u.square().mean()}

    def begin_epoch(self, epoch, generator):
        self.centre.copy_(torch.randn(4, generator=generator))


class PlainTurns(Plain):
    phases = Turns.phases


def by_hand(data, turns, epochs=3, lr=0.05):
    """The same training in a dozen lines."""
    with initialising(0):
        model = Plain(data)
    own = generators(0, "cpu")
    model.generator = own["views"]
    users, items = list(model.user_table.parameters()), list(model.item_table.parameters())
    if turns:
        first = torch.optim.Adam(users, lr=lr, fused=True)
        second = torch.optim.Adam(items, lr=0.02, weight_decay=0.01, fused=True)
        order = [(first, users), (second, items), (first, users)]
    else:
        order = [(torch.optim.Adam(users + items, lr=lr, fused=True), users + items)]
    batches = loader(data, model.sampling, 64, own["order"], negatives=own["negatives"])
    step, losses = 0, []
    for epoch in range(1, epochs + 1):
        model.begin_epoch(epoch, own["views"])
        for batch in batches.epoch():
            for adam, parameters in order:
                terms = model.losses(batch)
                total = terms["rank"] + terms["reg"]
                gradients = torch.autograd.grad(total, parameters)
                for p, g in zip(parameters, gradients, strict=True):
                    p.grad = g
                adam.step()
                losses.append(total.item())
            step += 1
            model.after_step(step)
    return model, losses


@pytest.mark.parametrize("turns", [False, True])
def test_equals_a_plain_loop(tmp_path, data, turns):
    expected, losses = by_hand(data, turns)
    go(tmp_path, PlainTurns if turns else Plain)
    final = checkpoint.load(tmp_path / "last")[0]
    for name, tensor in expected.state_dict().items():
        assert torch.equal(final[f"model/{name}"], tensor), name
    per_epoch = len(losses) // 3
    assert lines(tmp_path)[1]["loss"] == pytest.approx(
        sum(losses[per_epoch : 2 * per_epoch]) / (per_epoch / (3 if turns else 1)), rel=1e-6
    )
    assert lines(tmp_path)[-1]["step"] == 9


class Leaking(MF):
    """The loss of each phase reaches the parameters of the other, unless ``apart``."""

    apart = False

    def phases(self):
        users, items = list(self.user_table.parameters()), list(self.item_table.parameters())
        turns = ("users", users, True), ("items", items, False)
        return [Phase(name, own, lambda batch, first=first: self.loss(batch, first)) for name, own, first in turns]

    def loss(self, batch, users):
        u, i = self.user_table(batch.users), self.item_table(batch.items)
        if self.apart:
            u, i = (u, i.detach()) if users else (u.detach(), i)
        return {"term": F.softplus(-(u * i).sum(-1)).mean()}


class Apart(Leaking):
    apart = True


def test_gradients_do_not_leak_between_phases(tmp_path):
    go(tmp_path / "leaking", Leaking)
    go(tmp_path / "apart", Apart)
    one, two = (checkpoint.load(tmp_path / name / "last")[0] for name in ("leaking", "apart"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert {n.split("/")[1] for n in one if n.startswith("optimiser/")} == {"users", "items"}


def test_phases_are_told_apart(tmp_path):
    go(tmp_path, Turns)
    names = {n for n in lines(tmp_path)[0] if n.startswith(("loss", "gradient"))}
    assert names == {
        "loss", "loss/users/rank", "loss/users/reg", "loss/items/rank", "loss/items/reg", "loss/users 2/rank",
        "loss/users 2/reg", "gradient/users/norm", "gradient/items/norm", "gradient/users 2/norm",
    }  # fmt: skip
    state = checkpoint.load(tmp_path / "last")[0]
    assert float(state["optimiser/users/0/step"]) == 2 * float(state["optimiser/items/0/step"]) == 18


class Disagreeing(MF):
    def phases(self):
        users = list(self.user_table.parameters())
        return [Phase("a", users, self.losses), Phase("a", users, self.losses, lr=1.0)]


def test_phases_of_one_name_must_agree(tmp_path):
    with pytest.raises(InputError, match=r"phases named 'a' share one optimiser.*give them different names"):
        go(tmp_path, Disagreeing)


class Idle(MF):
    def phases(self):
        return [Phase("idle", [], self.losses)]


def test_a_phase_needs_parameters(tmp_path):
    with pytest.raises(InputError, match="phase 'idle' has no parameter to train"):
        go(tmp_path, Idle)


def test_evaluation_sees_the_weights_of_its_epoch(tmp_path, data):
    go(tmp_path)
    fresh = MF(data)
    fresh.load_state_dict({n.removeprefix("model/"): t for n, t in checkpoint.load(tmp_path / "last")[0].items()
                           if n.startswith("model/")})  # fmt: skip
    again = evaluate(fresh, data, "valid", **EVALUATE).metrics
    assert {f"valid/{n}": v for n, v in again.items()}.items() <= lines(tmp_path)[-1].items()


# --- selection ------------------------------------------------------------------------------------------------------


def scripted(monkeypatch, values):
    """Valid metrics as they are told, epoch by epoch."""
    original, told = trainer.evaluate, iter(values)

    def evaluated(model, data, part, **settings):
        found = original(model, data, part, **settings)
        return replace(found, metrics={**found.metrics, "ndcg@5": next(told)}) if part == "valid" else found

    monkeypatch.setattr(trainer, "evaluate", evaluated)


def test_patience_and_best(tmp_path, monkeypatch):
    scripted(monkeypatch, [0.1, 0.3, 0.2, 0.3, 0.25, 0.9])
    result, _ = go(tmp_path, epochs=20, patience=3)
    assert (result["epochs"], result["best_epoch"]) == (5, 2)
    assert result["metrics"]["valid"]["ndcg@5"] == 0.3
    assert checkpoint.load(tmp_path / "best")[1]["epoch"] == 2
    assert len(list((tmp_path / "best").iterdir())) == 2


def test_patience_null_never_stops(tmp_path, monkeypatch):
    scripted(monkeypatch, [0.5] + [0.1] * 30)
    assert go(tmp_path, epochs=20, patience=None)[0]["epochs"] == 20


def test_eval_every_and_the_last_epoch(tmp_path):
    go(tmp_path, epochs=5, eval_every=2)
    assert [line["epoch"] for line in lines(tmp_path) if "valid/ndcg@5" in line] == [2, 4, 5]


def test_test_is_read_once_with_the_best_weights(tmp_path, data, monkeypatch):
    scripted(monkeypatch, [0.1, 0.9, 0.2])
    parts, original = [], trainer.evaluate
    monkeypatch.setattr(trainer, "evaluate", lambda m, d, p, **s: parts.append(p) or original(m, d, p, **s))
    result, _ = go(tmp_path)
    assert parts == ["valid"] * 3 + ["test"]
    model = MF(data)
    model.load_state_dict(checkpoint.load(tmp_path / "best")[0])
    assert result["metrics"]["test"] == evaluate(model, data, "test", **EVALUATE).metrics


def test_the_metric_must_be_evaluated(tmp_path):
    with pytest.raises(InputError, match=r"train.metric must be .* got 'ndcg@20'; change it or evaluate.k. Did you"):
        go(tmp_path, metric="ndcg@20")
    with pytest.raises(InputError, match="got 'gini@5'"):
        go(tmp_path, metric="gini@5")


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        ({"k": [5, 20]}, "k must hold whole numbers from 1 to 18, the size of the catalogue, got"),
        ({"k": [5], "exclude": "sen"}, "exclude must be one of a few names, got 'sen'. Did you mean 'seen'"),
        ({"k": [5], "candidates": "uni"}, "candidates must be 'full', 'cold', or 'uniN'"),
    ],
)
def test_an_evaluation_that_cannot_be_is_refused_before_training(tmp_path, data, evaluate, message):
    with pytest.raises(InputError, match=message):
        train(MF(data), data, TrainSettings(metric="ndcg@5"), evaluate, run=RunDirectory(tmp_path), device="cpu")
    assert not lines(tmp_path)


def test_the_metric_of_sampled_candidates(tmp_path, data):
    with initialising(0):
        model = MF(data)
    settings = TrainSettings(epochs=1, metric="ndcg@5")
    result = train(
        model, data, settings, {"k": 5, "candidates": "uni5"}, run=RunDirectory(tmp_path), device="cpu", progress=False
    )
    assert result["metrics"]["valid"]["ndcg@5/uni5"] == lines(tmp_path)[0]["valid/ndcg@5/uni5"]


def test_no_valid_part(tmp_path, data, caplog):
    result, _ = go(tmp_path, data=without(data, "valid"))
    assert "has no valid part: every epoch is trained and the last one is kept" in caplog.text
    assert (result["epochs"], result["best_epoch"], result["metrics"]["valid"]) == (3, 3, {})
    assert result["metrics"]["test"]["ndcg@5"] > 0
    with pytest.raises(InputError, match="train.refit needs a valid part to add to train, and 'tiny' has none"):
        go(tmp_path / "refit", data=without(data, "valid"), refit=True)


def test_no_test_part(tmp_path, data, caplog):
    result, _ = go(tmp_path, data=without(data, "test"))
    assert "has no test part" in caplog.text
    assert result["metrics"]["test"] == {} and result["protocol"] is None


# --- refit and closed forms -----------------------------------------------------------------------------------------


def test_refit_trains_from_scratch_on_the_union(tmp_path, data, monkeypatch):
    scripted(monkeypatch, [0.1, 0.9, 0.2])
    result, _ = go(tmp_path / "refit", refit=True)
    assert (result["epochs"], result["best_epoch"]) == (3, 2)
    assert result["metrics"]["valid"]["ndcg@5"] == 0.9
    union = data.refit()
    go(tmp_path / "union", data=union, epochs=2)
    one, two = (checkpoint.load(tmp_path / name / "best")[0] for name in ("refit", "union"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert result["split_hash"] == result["protocol"]["split_hash"] == data.split.hash
    assert [line.get("stage") for line in lines(tmp_path / "refit")] == [None] * 3 + ["refit"] * 2
    assert checkpoint.load(tmp_path / "refit/best")[1]["refit"]


def test_closed_form(tmp_path, data):
    result, _ = go(tmp_path, Counting)
    model = Counting(data)
    model.fit_closed(data)
    assert result["epochs"] == 0 and result["best_epoch"] == 0
    assert result["metrics"]["test"] == evaluate(model, data, "test", **EVALUATE).metrics
    assert result["metrics"]["valid"] == evaluate(model, data, "valid", **EVALUATE).metrics
    assert torch.equal(checkpoint.load(tmp_path / "best")[0]["degree"], model.degree)
    assert lines(tmp_path)[0]["valid/ndcg@5"] == result["metrics"]["valid"]["ndcg@5"]


def test_closed_form_refit(tmp_path, data):
    go(tmp_path, Counting, refit=True)
    counts = data.refit().train.by_item.counts.float()
    assert torch.equal(checkpoint.load(tmp_path / "best")[0]["degree"], counts)


def test_closed_form_begins_anew_when_it_was_cut(tmp_path, monkeypatch):
    go(tmp_path / "whole", Counting)

    def cut(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_finish", cut)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path / "cut", Counting)
    go(tmp_path / "cut", Counting, resume=True)
    same(tmp_path / "whole", tmp_path / "cut")


# --- what is not finite ---------------------------------------------------------------------------------------------


class Exploding(MF):
    """Finite until a step; the objective has a temperature."""

    bad, where = 5, "loss"

    def __init__(self, data):
        super().__init__(data)
        self.objective = InfoNCE(temperature=0.05)
        self.learned = InfoNCE(temperature="learnable")
        self.seen = 0

    def losses(self, batch):
        self.seen += 1
        terms = super().losses(batch)
        terms["learned"] = self.learned(self.user_table(batch.users), self.item_table(batch.items))
        if self.seen == self.bad:
            hole = torch.zeros((), requires_grad=True)
            if self.where == "loss":
                terms["rank"] = terms["rank"] / 0
            else:
                terms["rank"] = terms["rank"] + (self.user_table.weight[0, 0] * 0 + hole).abs().sqrt()
        return terms


class BadGradient(Exploding):
    where = "gradient"


def test_a_loss_that_is_not_finite(tmp_path):
    with pytest.raises(NonFiniteLoss) as caught:
        go(tmp_path, Exploding, checkpoint_seconds=1e9)
    told = str(caught.value)
    assert told.startswith("Step 5: loss/rank is inf (")
    assert "loss/reg 0.00" in told and "gradient/norm nan" in told
    assert "temperature/objective 0.05" in told and "temperature/learned 0.0" in told
    assert not checkpoint.exists(tmp_path / "last") and len(lines(tmp_path)) == 1


def test_a_gradient_that_is_not_finite(tmp_path):
    with pytest.raises(NonFiniteLoss, match="Step 5: gradient/norm is nan"):
        go(tmp_path, BadGradient, checkpoint_seconds=0)
    assert checkpoint.load(tmp_path / "last")[1]["position"]["step"] == 4


def test_terms_must_keep_their_names(tmp_path):
    with pytest.raises(ValueError, match="losses must return the same terms in every step of an epoch"):
        go(tmp_path, Changing)


class Changing(MF):
    def begin_epoch(self, epoch, generator):
        self.seen = 0

    def losses(self, batch):
        self.seen += 1
        terms = super().losses(batch)
        return {"rank": terms["rank"]} if self.seen == 2 else terms


def test_learned_temperatures_are_noted(tmp_path):
    go(tmp_path, Steady)
    assert lines(tmp_path)[0]["temperature/learned"] == pytest.approx(0.07, rel=0.5)
    assert "temperature/objective" not in lines(tmp_path)[0]


class Steady(Exploding):
    bad = -1


# --- the world outside ----------------------------------------------------------------------------------------------


def test_leaves_torch_as_it_was(tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    go(tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_seeds_decide_everything(tmp_path):
    one, _ = go(tmp_path / "a")
    torch.manual_seed(99)
    two, _ = go(tmp_path / "b")
    three, _ = go(tmp_path / "c", seed=1)
    assert one["metrics"] == two["metrics"] != three["metrics"]


def test_generators_are_apart():
    first = {name: g.initial_seed() for name, g in generators(3, "cpu").items()}
    assert set(first) == {"order", "negatives", "views"}
    assert len({*first.values(), derive(3, "init"), derive(3, "diagnostics")}) == 5
    assert first["order"] == derive(3, "order")
    with pytest.raises(InputError, match="seed must be a whole number from 0, got -1"):
        generators(-1, "cpu")


@pytest.mark.parametrize(
    ("device", "message"),
    [("gpu", "device must be auto, cpu, cuda or cuda:N, got 'gpu'"), ("cuda:99", "device cuda:99 is not here: torch")],
)
def test_unknown_device(tmp_path, data, device, message):
    with pytest.raises(InputError, match=message):
        train(MF(data), data, TrainSettings(metric="ndcg@5"), EVALUATE, run=RunDirectory(tmp_path), device=device)


def test_unknown_precision(tmp_path, data):
    with pytest.raises(InputError, match="precision 'fp8' is not known"):
        train(MF(data), data, TrainSettings(metric="ndcg@5"), EVALUATE, run=RunDirectory(tmp_path), precision="fp8")


def test_bf16(tmp_path, data):
    settings = TrainSettings(epochs=1, metric="ndcg@5")
    run = RunDirectory(tmp_path)
    result = train(MF(data), data, settings, EVALUATE, run=run, device="cpu", precision="bf16", progress=False)
    assert 0 < result["metrics"]["test"]["ndcg@5"] < 1


def test_result_object(tmp_path):
    result, _ = go(tmp_path)
    assert set(result) == {
        "model", "dataset", "seed", "protocol", "split_hash", "metrics", "epochs", "best_epoch", "seconds", "peak_mb",
        "cold", "run",
    }  # fmt: skip
    assert result == RunDirectory(tmp_path).read_json(tmp_path / "result.json")
    assert result["model"] == "small:MF" and result["run"] == str(tmp_path)
    environment = RunDirectory(tmp_path).read_json(tmp_path / "environment.json")
    assert environment["threads"] == torch.get_num_threads() and environment["packages"]["torch"]


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="patients"):
        TrainSettings(patients=3)
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        TrainSettings(epochs=0)


def test_the_library_is_silent(tmp_path, capsys, caplog):
    with caplog.at_level(logging.WARNING):
        go(tmp_path)
    assert capsys.readouterr() == ("", "") and not caplog.records
