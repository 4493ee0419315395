"""The house rules that a machine can hold: sizes, arguments, direction of imports, what an import loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "gcl").rglob("*.py"))
LEVELS = {
    "arguments": 0, "errors": 0, "data": 1, "graph": 1, "losses": 1, "diagnostics": 1, "views": 2, "encoders": 2,
    "recommenders": 3, "ssl": 3, "evaluation": 4, "build": 4, "catalogue": 4, "config": 4, "training": 5, "recbole": 6,
    "bench": 6, "testing": 6, "cli": 7, "grammar": 1, "signatures": 1,
}  # fmt: skip
HEAVY = {"recbole", "torch_geometric", "lightning_fabric", "sklearn", "tensorboard", "polars", "typer", "matplotlib"}


def room(path: Path) -> str:
    return path.relative_to(ROOT / "gcl").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_sizes(path):
    text = path.read_text()
    limit = 300 if room(path) == "losses" else 500
    assert len(text.splitlines()) <= limit, f"{path.name} has more than {limit} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert node.end_lineno - first.lineno < 60, f"{path.name}:{node.name} has more than 60 lines"
            arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            count = len([a for a in arguments if a not in ("self", "cls")])
            assert node.name == "__init__" or count <= LIMITS.get(node.name, 10), f"{path.name}:{node.name}"


# The data section and the train command are their signatures: their arguments are the options a user has.
LIMITS = {"load": 24, "train": 15, "fit": 12, "pretrain": 11}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    own = room(path)
    if own == "__init__":
        return
    for node in ast.parse(path.read_text()).body:
        for name in imported(node):
            parts = name.split(".")
            if parts[0] != "gcl" or len(parts) < 2 or parts[1] == own:
                continue
            assert LEVELS[parts[1]] <= LEVELS[own], f"{own} must not import {name}"
            if own == "losses":
                assert parts[1] in ("arguments", "errors", "losses"), "losses imports torch only"
            assert not (LEVELS[own] == 1 and LEVELS[parts[1]] == 1 and {own, parts[1]} - {"graph", "data"}), name


def imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module]
    return []


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_gcl_is_light():
    code = (
        "import time, torch; start = time.process_time(); import gcl; spent = time.process_time() - start\n"
        "import sys; print(spent, *sys.modules)"
    )
    spent, *modules = run(code).split()
    assert {m.split(".")[0] for m in modules} & HEAVY == set()
    assert float(spent) < 0.5


def test_training_lightgcn_loads_no_torch_geometric(tmp_path):
    code = f"""
import sys, gcl
from gcl.testing import tiny_dataset
few = {{"epochs": 1, "metric": "ndcg@5"}}
gcl.fit("LightGCN", tiny_dataset(), dim=4, train=few, evaluate={{"k": [5]}}, out={str(tmp_path / "run")!r})
print(*sys.modules)
"""
    assert {m.split(".")[0] for m in run(code).split()} & {"torch_geometric", "recbole", "matplotlib"} == set()
