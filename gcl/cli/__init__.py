"""The command line: one file a command; heavy imports happen inside the commands."""

import sys


def main() -> None:
    """Entry point of ``gcl``. Exits with 0, 1 (failed), 2 (bad usage or input), 130 or 143 (interrupted)."""
    from gcl.cli.app import app

    if "" not in sys.path:
        sys.path.append("")  # import paths such as mypkg.mod:MyModel are looked for in the current folder
    app(prog_name="gcl")


__all__ = ["main"]
