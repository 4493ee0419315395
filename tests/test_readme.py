"""What the README shows works as it is printed."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
MINE = next(text for kind, text in BLOCKS if kind == "python" and text.startswith("# mine.py"))


def run(folder: Path, *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    rows = "\n".join(f"u{u},i{i}" for u in range(14) for i in range(12) if (u * 7 + i * 3) % 4)
    (tmp_path / "ratings.csv").write_text("user,item\n" + rows + "\n")
    return tmp_path


def test_own_parts_train_from_the_command_line(folder):
    short = ["ratings.csv", "dim=8", "train.epochs=1", "evaluate.k=[5]", "train.metric=ndcg@5"]
    parts = ["objective=mine:Cosine", "views={name: mine:Shrink, by: 0.8}"]
    run(folder, "-m", "gcl.cli", "train", "SimGCL", *short, *parts, "--out", "a")
    run(folder, "-m", "gcl.cli", "train", "mine:Sharp", *short, "--out", "b")
    assert (folder / "b/result.json").exists()
    composed = re.search(r"objective='(\{name: Contrast[^']*)'", README)
    run(folder, "-m", "gcl.cli", "train", "SimGCL", *short, f"objective={composed[1]}", "--out", "c")


def test_own_features_and_a_table_of_items(folder):
    import numpy as np

    np.savez(
        folder / "image.npz", values=np.random.default_rng(0).normal(size=(14, 6)), ids=[f"i{i}" for i in range(14)]
    )
    (folder / "items.csv").write_text("item,title\n" + "".join(f"i{i},Thing number {i}\n" for i in range(14)))
    line = re.search(r"gcl (train MGCN ratings\.csv .*)", README)[1]
    short = ["dim=8", "train.epochs=1", "evaluate.k=[5]", "train.metric=ndcg@5", "data.unseen=true", "--out", "m"]
    run(folder, "-m", "gcl.cli", *shlex.split(line), *short)
    told = json.loads(run(folder, "-m", "gcl.cli", "recommend", "m", "--users", "u0", "--k", "6", "--json"))
    assert {row[0] for row in told["u0"]} & {"i12", "i13"}, "items that nobody has used are recommended"


def test_an_objective_of_slots():
    text = next(text for kind, text in BLOCKS if kind == "python" and "Contrast(" in text and "import gcl" not in text)
    run(ROOT, "-c", text + "\nimport torch\nassert loss(torch.eye(4, 64), torch.eye(4, 64)).isfinite()")


def test_own_model_passes_the_suite(folder):
    run(folder, "-c", "from mine import Sharp; from gcl.testing import check_recommender; check_recommender(Sharp)")


def test_python_blocks_run(gcl_data, tmp_path):
    for kind, text in BLOCKS:
        if kind == "python" and text.startswith("import gcl"):
            run(tmp_path, "-c", text.replace('"epochs": 30', '"epochs": 1'))


def test_the_table_of_pygcl_names_what_is_there():
    import gcl.evaluation
    import gcl.losses
    import gcl.ssl
    import gcl.views

    rows = README.split("| PyGCL | here |")[1].split("\n\n")[0].splitlines()[2:]
    theirs, ours = zip(*(re.split(r"(?<=[^|]) \| ", row.strip("| "), maxsplit=1) for row in rows), strict=True)
    known = {*dir(gcl.evaluation), *dir(gcl.losses), *dir(gcl.ssl), *dir(gcl.views), "Transform", "Data"}
    codes = [code for cell in ours for code in re.findall(r"`([^`]*)`", cell)]
    called = {name for code in codes for name in re.findall(r"\b[A-Z]\w+", code)} - {"False", "None"}
    assert called <= known, called - known
    for name in (
        "Compose", "RandomChoice", "Identity", "EdgeRemoving", "EdgeAdding", "NodeDropping", "RWSampling",
        "FeatureMasking", "FeatureDropout", "NodeShuffling", "EdgeAttrMasking", "PPRDiffusion", "MarkovDiffusion",
        "DualBranchContrast", "SingleBranchContrast", "BootstrapContrast", "WithinEmbedContrast", "InfoNCE", "JSD",
        "BarlowTwins", "VICReg", "BootstrapLatent", "TripletMargin", "DebiasedInfoNCE", "HardnessInfoNCE",
        "HardMixing", "get_split", "LREvaluator", "SVMEvaluator", "RFEvaluator", "from_predefined_split",
    ):  # fmt: skip
        assert any(name in cell for cell in theirs), name


def test_commands_are_the_make_targets():
    makefile = (ROOT / "Makefile").read_text()
    assert "make demo" in README
    assert "\ndemo:" in makefile
    assert "make test" in README
    assert "\ntest:" in makefile
