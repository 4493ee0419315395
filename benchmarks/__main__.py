"""Run every script of this folder, one after the other, and put the stored tables into its README: ``make bench``.

    python -m benchmarks [name ...] [-- options of the scripts]

A script that ends in an error does not stop the others; the exit status is 1 if there was one. Those that train for
hours run by their own names only. With ``--tables`` nothing is run, the README alone is brought up to date.
"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OWN_NAME_ONLY = {"features", "graph_ssl", "noise", "quality", "recbole_parity"}


def fill(readme: str) -> str:
    """The text with every block ``<!-- results/NAME.md --> ... <!-- end -->`` holding that file as it is stored."""

    def block(found: re.Match[str]) -> str:
        file = HERE / found[1]
        body = file.read_text().strip() if file.exists() else "Not measured yet."
        return f"<!-- {found[1]} -->\n\n{body}\n\n<!-- end -->"

    return re.sub(r"<!-- (results/\S+) -->.*?<!-- end -->", block, readme, flags=re.DOTALL)


def run(names: list[str], options: list[str]) -> list[str]:
    """Run the scripts; the names of those that failed."""
    failed = []
    for name in names:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False).returncode:
            failed.append(name)
    return failed


def main() -> None:
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    names, options = sys.argv[1:split], sys.argv[split + 1 :]
    found = sorted(path.stem for path in HERE.glob("[a-z]*.py"))
    failed: list[str] = []
    if names != ["--tables"]:
        unknown = sorted(set(names) - set(found))
        if unknown:
            sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(found)}")
        failed = run(names or [name for name in found if name not in OWN_NAME_ONLY], options)
    readme = HERE / "README.md"
    readme.write_text(fill(readme.read_text()))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
