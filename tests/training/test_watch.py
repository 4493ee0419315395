"""Values of a training that are followed step by step."""

import pytest
import torch
from small import MF, go
from torch import nn

from gcl.losses import InfoNCE
from gcl.training import NonFiniteLoss, RunDirectory
from gcl.training.watch import Watch, temperatures


class Holder(nn.Module):
    def __init__(self, temperature):
        super().__init__()
        self.objective = InfoNCE(temperature=temperature)


def test_reading_a_scheduled_temperature_does_not_move_it():
    model = Holder({"name": "scheduled", "low": 0.1, "high": 0.5, "period": 4})
    part = model.objective.temperature
    fixed, changing = temperatures(model)
    assert not fixed and list(changing) == ["temperature/objective"]
    read = changing["temperature/objective"]
    for calls, expected in enumerate((0.5, 0.3, 0.1)):
        assert float(read()) == float(read()) == pytest.approx(expected)
        assert part.training and int(part.calls) == calls
        part(torch.zeros(1))
    model.eval()
    read()
    assert not part.training


def test_temperatures_that_are_numbers_and_that_are_learned():
    fixed, changing = temperatures(Holder(0.2))
    assert fixed == {"temperature/objective": pytest.approx(0.2)} and not changing
    fixed, changing = temperatures(Holder("learnable"))
    assert not fixed and float(changing["temperature/objective"]()) == pytest.approx(0.07)


class Waving(MF):
    def __init__(self, data):
        super().__init__(data)
        self.objective = InfoNCE(temperature={"name": "scheduled", "period": 12})

    def losses(self, batch):
        own = self.user_table(batch.users)
        return {**super().losses(batch), "contrast": self.objective(own, own + 0.1, ids=batch.users)}


def test_a_schedule_counts_steps_of_training_alone(tmp_path):
    _, model = go(tmp_path, Waving)
    lines = RunDirectory(tmp_path).lines()
    assert int(model.objective.temperature.calls) <= lines[-1]["step"]
    assert lines[0]["temperature/objective"] > lines[1]["temperature/objective"]


def test_what_is_not_finite_is_named():
    watch = Watch(torch.device("cpu"), {"temperature": 0.2})
    watch.add(["a", "b"], [torch.tensor(1.0), torch.tensor(2.0)], 1)
    watch.check()
    watch.add(["a", "b"], [torch.tensor(3.0), torch.tensor(float("nan"))], 2)
    watch.add(["a", "b"], [torch.tensor(float("inf")), torch.tensor(1.0)], 3)
    with pytest.raises(NonFiniteLoss) as caught:
        watch.check()
    assert str(caught.value) == (
        "Step 2: b is nan (a 3, b nan, temperature 0.2). Lower train.lr, raise the temperature, or use precision 32; "
        "the last checkpoint is from before."
    )
