"""The histories of a data set of gcl's, split by leave-one-out, written in the form that a peer reads.

    python -m benchmarks.systems.sequences DATASET FOLDER SYSTEM ...

The last line on stdout is JSON: ``users`` with a target; targets of an epoch by ``all`` (50 positions a
user), ``selfrec`` (49), ``prefix``.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

import gcl.data
from gcl.data import Dataset

Histories = list[tuple[int, list[int], list[int]]]
"""User, train items, and the items of valid and test, each from the earliest to the latest."""


def load(name: str) -> Dataset:
    """The data set, its last item of a user in test, the one before in valid."""
    return gcl.data.load(name, split="leave_one_out")


def histories(data: Dataset) -> Histories:
    """The users with a train row."""
    held: dict[int, list[int]] = {}
    for part in (data.valid, data.test):
        for user, item in zip(part.user.tolist(), part.item.tolist(), strict=True):
            held.setdefault(user, []).append(item)
    rows = data.train.history
    pieces = rows.indices.split(rows.counts.tolist())
    return [(user, piece.tolist(), held.get(user, [])) for user, piece in enumerate(pieces) if len(piece)]


def main() -> None:
    name, folder, systems = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    data = load(name)
    for system in systems:
        (folder / system).mkdir(parents=True)
        import_module(f"benchmarks.systems.{system}").write_sequences(folder / system, histories(data))
    count = data.train.by_user.counts - 1
    most = {"all": 50, "selfrec": 49, "prefix": None}
    targets = {row: int(count.clamp(min=0, max=limit).sum()) for row, limit in most.items()}
    print(json.dumps({**targets, "users": int((count > 0).sum())}))


if __name__ == "__main__":
    main()
