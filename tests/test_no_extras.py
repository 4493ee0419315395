"""Nothing compiled beside torch is needed: every module is imported where the extras of torch_geometric cannot be."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CODE = """
import importlib, sys

BLOCKED = ("pyg_lib", "torch_sparse", "torch_scatter", "torch_cluster", "torch_spline_conv", "dgl")
for name in BLOCKED:
    sys.modules[name] = None
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "recbole":
            raise
import torch
from torch_geometric.data import Data
from gcl import build, catalogue
edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
for entry in catalogue.views():
    if "data" in entry["on"] and entry["name"] not in ("Transform", "RandomChoice"):
        view = build.view(entry["name"])
        view.prepare(4)
        view(Data(x=torch.ones(3, 4), edge_index=edges))
assert all(sys.modules[name] is None for name in BLOCKED)
"""


def test_every_module_is_imported_without_compiled_extras():
    files = sorted((ROOT / "gcl").rglob("*.py"))
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in files]
    names = [n for n in names if not n.endswith("__main__")]
    done = subprocess.run([sys.executable, "-c", CODE, *names], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
