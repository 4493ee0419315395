"""Repairs: each puts back a name, once, on import of the bridge alone."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.sparse import dok_matrix

from gcl.errors import InputError
from gcl.recbole import compat


def without(monkeypatch, name):
    """Take away the name that a repair puts there."""
    owner, attribute = (dok_matrix, "_update") if name.startswith("scipy") else (np, name.split(".")[1])
    if attribute in vars(owner):
        monkeypatch.delattr(owner, attribute)
    return owner, attribute


@pytest.mark.parametrize("repair", compat.REPAIRS, ids=lambda r: r.name)
def test_each_repair(monkeypatch, repair):
    monkeypatch.setattr(compat, "MADE", [])
    owner, attribute = without(monkeypatch, repair.name)
    if hasattr(owner, attribute):
        pytest.skip(f"{repair.name} is not missing here")
    assert repair.missing()
    assert repair.name in compat.apply()
    made = getattr(owner, attribute)
    assert not repair.missing() and compat.apply() == [] and getattr(owner, attribute) is made
    assert compat.report()[repair.name] == f"repaired: {repair.why}"


def test_what_the_names_are():
    old = {name: getattr(np, name) for name in ("float_", "complex_", "unicode_")}
    assert old == {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}
    matrix = dok_matrix((2, 2))
    matrix._update({(0, 1): 3.0})
    assert matrix.toarray().tolist() == [[0, 3], [0, 0]]


def test_what_is_there_is_left_alone(monkeypatch):
    monkeypatch.setattr(compat, "MADE", [])
    before = vars(np)["float_"]
    compat.apply()
    told = compat.report()
    assert told.pop("torch.load").startswith("on request")
    assert vars(np)["float_"] is before and set(told.values()) == {"not needed"}


def test_import_gcl_repairs_nothing_and_the_bridge_imports_no_recbole():
    code = (
        "import sys, numpy as np, torch, gcl; before = hasattr(np, 'float_'), torch.load\n"
        "import gcl.recbole\n"
        "print(before[0] == (np.__version__ < '2'), hasattr(np, 'float_'), torch.load is before[1], "
        "'recbole' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True", "False"]


def test_newer_pythons_are_told(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 12, 1, "final", 0))
    with pytest.raises(InputError, match=r"RecBole needs Python 3.11 or older, and this is 3.12: .* ray 2.6 has no"):
        compat.require()


def test_missing_recbole_is_told(monkeypatch):
    monkeypatch.setattr(compat, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"recbole is not installed: pip install 'recbole>=1.2.1'"):
        compat.require()


def test_resuming_rebinds_torch_inside_recboles_trainer_alone(tmp_path):
    from recbole.trainer import trainer as module

    file, load = tmp_path / "a.pth", torch.load
    torch.save({"object": compat.Repair("", "", bool, bool)}, file)

    class Trainer:
        def resume_checkpoint(self, path):
            self.found = module.torch.load(path, map_location="cpu")
            assert torch.load is load and module.torch is not torch and module.torch.nn is torch.nn

    trainer = Trainer()
    compat.resume(trainer, file)
    assert isinstance(trainer.found["object"], compat.Repair) and module.torch is torch
    with pytest.raises(InputError, match="There is no checkpoint .*b.pth"):
        compat.resume(trainer, tmp_path / "b.pth")
