"""Where the files that come with the package are."""

from pathlib import Path

_PACKAGE = Path(__file__).parent.parent


def share(*parts: str) -> Path:
    """A path below the shared files: ``share("datasets")``, ``share("configs", "simgcl", "ml-100k.yaml")``.

    They lie in ``gcl/_share`` of an installed package, and beside ``gcl/`` in a checkout. The path need not exist.
    """
    shipped = _PACKAGE / "_share"
    return (shipped if shipped.is_dir() else _PACKAGE.parent).joinpath(*parts)
