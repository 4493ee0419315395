"""``python -m gcl.cli``."""

from gcl.cli import main

main()
