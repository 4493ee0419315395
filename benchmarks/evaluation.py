"""Full-ranking evaluation of gowalla: gcl's evaluate() against RecBole's collector and evaluator, on the same scores.

    GCL_DATA=... python -m benchmarks.evaluation [--rounds 3] [--users 0]

Both rank the whole catalogue for every test user by the same factors (a rank-64 SVD of train), train items left out,
k = 10 and 20, one thread. Computing the scores is timed apart and taken off both sides; they lie in one buffer, so that
neither side pays for its pages. RecBole's side is what its Trainer does with a batch of scores (mask, collect) and at
the end (evaluate); the lists of train and test items that its loader would build in Python are handed to it ready. Its
batch is a choice that decides its speed, so it is run with three: 1 user (what its default eval_batch_size of 4096
comes to on gowalla: 4096 // items, at least 1), 1024 users (gcl's block), and 16 (the fastest for it here). RecBole
measures recall, ndcg, hit, precision, map, mrr; gcl those, popularity, coverage, gini and the groups. Each side has a
process of its own; rounds alternate; times are CPU seconds.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gcl.data import Dataset, Interactions, Query, Split, TrainInteractions
from gcl.evaluation import evaluate

RESULTS = Path(__file__).parent / "results" / "evaluation.json"
NAMES = {"recall": "recall", "ndcg": "ndcg", "hit_rate": "hit", "precision": "precision", "map": "map", "mrr": "mrr"}
K = [10, 20]
BLOCK = 1024
SIDES = ("gcl", "recbole-1", "recbole-1024", "recbole-16")
ALIASES = {"float": float, "bool": bool, "float_": np.float64, "unicode_": np.str_, "complex_": np.complex128}


def read(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Users and items of a file of lines ``user item item ...``."""
    rows = [np.array(line.split(), dtype=np.int64) for line in (folder / f"{part}.txt").read_text().splitlines()]
    user = np.concatenate([np.full(len(row) - 1, row[0]) for row in rows])
    return torch.from_numpy(user), torch.from_numpy(np.concatenate([row[1:] for row in rows]))


def gowalla(most: int) -> Dataset:
    """The published split; test of the first ``most`` users (0: all)."""
    folder = Path(os.environ["GCL_DATA"]) / "cf" / "gowalla"
    (user, item), (test_user, test_item) = read(folder, "train"), read(folder, "test")
    users, items = int(user.max()) + 1, int(max(item.max(), test_item.max())) + 1
    kept = test_user < (most or users)
    test = Interactions(test_user[kept], test_item[kept], users, items)
    split = Split(TrainInteractions(user, item, users, items), test.select(torch.zeros(0, dtype=torch.int64)), test)
    return Dataset("gowalla", split, np.arange(users).astype(str), np.arange(items).astype(str))


def factors(data: Dataset) -> tuple[Tensor, Tensor]:
    """Vectors of users and items: rank-64 SVD of the train matrix, degrees normalised."""
    train = data.train
    weight = (train.by_user.counts[train.user] * train.by_item.counts[train.item]).float().rsqrt()
    matrix = torch.sparse_coo_tensor(torch.stack([train.user, train.item]), weight, (data.num_users, data.num_items))
    torch.manual_seed(0)
    left, size, right = torch.svd_lowrank(matrix.coalesce(), q=64, niter=2)
    return left * size, right.T.contiguous()


class Product:
    """Scores as dot products; ``spent`` sums the CPU seconds they took."""

    def __init__(self, data: Dataset) -> None:
        self.users, self.items = factors(data)
        self.buffer = torch.empty(BLOCK, data.num_items)
        self.spent = 0.0

    def block(self, users: Tensor) -> Tensor:
        """Scores of users [B], [B, num_items]."""
        start = time.process_time()
        scores = torch.mm(self.users[users], self.items, out=self.buffer[: len(users)])
        self.spent += time.process_time() - start
        return scores

    def scores(self, query: Query) -> Tensor:
        """What the evaluator asks."""
        assert query.users is not None
        return self.block(query.users)


def by_gcl(scorer: Product, data: Dataset) -> dict[str, float]:
    found = evaluate(scorer, data, k=K).metrics
    return {f"{name}@{k}": found[f"{name}@{k}"] for name in NAMES for k in K}


def by_recbole(scorer: Product, data: Dataset, size: int) -> dict[str, float]:
    """Scores come from products of :data:`BLOCK` users, as for gcl, and are handed on ``size`` users at a time."""
    from recbole.evaluator import Collector, Evaluator

    config = {
        "metrics": list(NAMES.values()), "topk": K, "metric_decimal_place": 12, "device": "cpu",
        "eval_args": {"mode": "full"},
    }  # fmt: skip
    collector, evaluator = Collector(config), Evaluator(config)
    users = (data.test.by_user.counts > 0).nonzero().flatten()
    for block in users.split(BLOCK):
        scores = scorer.block(block)
        for batch, rows in zip(block.split(size), scores.split(size), strict=True):
            start = time.process_time()
            history, positive = data.train.by_user.take(batch), data.test.by_user.take(batch)
            scorer.spent += time.process_time() - start
            rows[history] = -np.inf
            collector.eval_batch_collect(rows, None, *positive)
    found = evaluator.evaluate(collector.get_data_struct())
    return {f"{name}@{k}": float(found[f"{other}@{k}"]) for name, other in NAMES.items() for k in K}


def peak_mb() -> float:
    """Highest resident memory of this process since it was last forgotten, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def worker(side: str, users: int) -> None:
    """Answer every line on stdin with one measured round, as JSON."""
    torch.set_num_threads(1)
    name, _, size = side.partition("-")
    for alias, kind in ALIASES.items() if name == "recbole" else ():
        if alias not in np.__dict__:
            setattr(np, alias, kind)
    data = gowalla(users)
    scorer = Product(data)
    _ = data.train.by_user, data.train.by_item, data.test.by_user
    Path("/proc/self/clear_refs").write_text("5")
    loaded = peak_mb()
    for _ in sys.stdin:
        scorer.spent, start = 0.0, time.process_time()
        metrics = by_gcl(scorer, data) if name == "gcl" else by_recbole(scorer, data, int(size))
        seconds = time.process_time() - start - scorer.spent
        row = {"seconds": seconds, "scoring": scorer.spent, "extra_mb": peak_mb() - loaded, "metrics": metrics}
        print(json.dumps(row), flush=True)


def rounds(count: int, users: int) -> dict[str, list[dict[str, Any]]]:
    """``count`` rounds of each side, one after the other, taken in turn."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    with ExitStack() as stack:
        workers = {}
        for side in SIDES:
            options, pipe = ["--users", str(users), "--side", side], subprocess.PIPE
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.evaluation", *options]
            workers[side] = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        for _ in range(count):
            for side, process in workers.items():
                print("go", file=process.stdin, flush=True)
                found[side].append(json.loads(process.stdout.readline()))
                print(f"{side}: {found[side][-1]['seconds']:.2f} s", file=sys.stderr, flush=True)
        for process in workers.values():
            process.stdin.close()
    return found


def summary(found: dict[str, list[dict[str, Any]]], users: int) -> dict[str, Any]:
    """Medians of every side, how far its metrics are from gcl's, and what it ran on."""
    middle = {
        side: {name: statistics.median(row[name] for row in rows) for name in ("seconds", "scoring", "extra_mb")}
        for side, rows in found.items()
    }
    own = found["gcl"][0]["metrics"]
    for side, row in middle.items():
        row["times_gcl"] = row["seconds"] / middle["gcl"]["seconds"]
        row["largest_difference"] = max(abs(found[side][0]["metrics"][name] - own[name]) for name in own)
        row["rounds"] = [r["seconds"] for r in found[side]]
    return {
        "dataset": "gowalla", "users": users or "all", "k": K, "threads": 1, "sides": middle, "metrics": own,
        "torch": torch.__version__, "numpy": np.__version__, "recbole": version("recbole"),
        "python": platform.python_version(), "machine": platform.machine(),
    }  # fmt: skip


def table(made: dict[str, Any]) -> str:
    """The sides as markdown."""
    lines = ["| side | CPU s | times gcl | extra MiB | largest difference of a metric |", "|---|---|---|---|---|"]
    for side, row in made["sides"].items():
        difference = f"{row['largest_difference']:.0e}"
        lines.append(
            f"| {side} | {row['seconds']:.2f} | {row['times_gcl']:.1f} | {row['extra_mb']:.0f} | {difference} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--users", type=int, default=0, help="only the first N users; 0: all")
    parser.add_argument("--side", choices=SIDES)
    options = parser.parse_args()
    if options.side:
        worker(options.side, options.users)
        return
    made = summary(rounds(options.rounds, options.users), options.users)
    print(f"{'side':<14}{'CPU s':>9}{'x gcl':>8}{'extra MiB':>11}{'difference':>12}")
    for side, row in made["sides"].items():
        print(
            f"{side:<14}{row['seconds']:>9.2f}{row['times_gcl']:>8.1f}{row['extra_mb']:>11.0f}"
            f"{row['largest_difference']:>12.1e}"
        )
    print(f"scores themselves: {made['sides']['gcl']['scoring']:.2f} CPU s, in no row")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(made, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(table(made))


if __name__ == "__main__":
    main()
