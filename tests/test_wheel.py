"""The wheel, installed outside the checkout, finds its cards and settings, and trains."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """A fresh environment with the wheel; its dependencies are those of the environment that runs the tests."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env/bin/python"
    run(str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=folder)
    (site,) = (folder / "env/lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_wheel_trains_outside_the_checkout(python, tmp_path):
    rows = "\n".join(f"u{u},i{i}" for u in range(12) for i in range(15) if (u + i) % 3)
    (tmp_path / "ratings.csv").write_text("user,item\n" + rows + "\n")
    where = run(str(python), "-c", "import gcl; print(gcl.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(python.parent.parent)
    gcl = str(python.parent / "gcl")
    run(gcl, "train", "LightGCN", "ratings.csv", "dim=8", "train.epochs=1", "evaluate.k=[5]", "train.metric=ndcg@5",
        "--out", "run", cwd=tmp_path)  # fmt: skip
    assert (tmp_path / "run/result.json").exists()
    assert "ml-100k" in run(gcl, "datasets", "list", cwd=tmp_path)
