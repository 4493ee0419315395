"""Run every script of this folder, one after the other: ``make bench``.

    python -m benchmarks [--quick] [name ...] [-- options of the scripts]

A script that ends in an error does not stop the others; the exit status is 1 if there was one. ``quality`` trains for
hours and takes a grid: it runs by its own name only.
"""

import subprocess
import sys
from pathlib import Path

OWN_NAME_ONLY = {"quality", "common"}


def main() -> None:
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    names, options = sys.argv[1:split], sys.argv[split + 1 :]
    found = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    unknown = sorted(set(names) - set(found))
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(found)}")
    failed = []
    for name in names or [name for name in found if name not in OWN_NAME_ONLY]:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
