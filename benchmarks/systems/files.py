"""The train and test part of a data set of gcl's, written in the form that a peer reads.

    python -m benchmarks.systems.files DATASET FOLDER SYSTEM ...

The last word on stdout is the number of train rows.
"""

import sys
from importlib import import_module
from pathlib import Path

from benchmarks.systems.gcl import dataset


def main() -> None:
    name, folder, systems = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    data = dataset(name)
    parts = {
        part: list(zip(rows.user.tolist(), rows.item.tolist(), strict=True))
        for part, rows in (("train", data.train), ("test", data.test))
    }
    for system in systems:
        (folder / system).mkdir(parents=True)
        import_module(f"benchmarks.systems.{system}").write(folder / system, parts)
    print(len(data.train))


if __name__ == "__main__":
    main()
