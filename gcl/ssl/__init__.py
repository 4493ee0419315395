"""Graph SSL: methods that train an encoder of nodes or of graphs without labels, on torch_geometric data.

    encoder = GRACE.default_encoder(data.num_features)
    method = GRACE(encoder)
    loss = sum(method.losses(data, generator).values())
    z = method.embed(data)

A method is an encoder, views (:mod:`gcl.views`) and an objective (:mod:`gcl.losses`); :class:`Contrast` has all three
free. Names are found when they are first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gcl.ssl.adgcl import ADGCL as ADGCL
    from gcl.ssl.base import Method as Method
    from gcl.ssl.base import Phase as Phase
    from gcl.ssl.bgrl import BGRL as BGRL
    from gcl.ssl.ccassg import CCASSG as CCASSG
    from gcl.ssl.contrast import Contrast as Contrast
    from gcl.ssl.dgi import DGI as DGI
    from gcl.ssl.gbt import GBT as GBT
    from gcl.ssl.gca import GCA as GCA
    from gcl.ssl.grace import GRACE as GRACE
    from gcl.ssl.graphcl import GraphCL as GraphCL
    from gcl.ssl.infograph import InfoGraph as InfoGraph
    from gcl.ssl.tokens import TokenContrast as TokenContrast
    from gcl.ssl.tokens import token_graph as token_graph

METHODS = ("ADGCL", "BGRL", "CCASSG", "DGI", "GBT", "GCA", "GRACE", "Contrast", "GraphCL", "InfoGraph")
"""The methods by name; each has a module of its own."""
_NAMES = {
    **{name: f"gcl.ssl.{name.lower()}" for name in METHODS},
    **dict.fromkeys(("Method", "Phase"), "gcl.ssl.base"),
    **dict.fromkeys(("TokenContrast", "token_graph"), "gcl.ssl.tokens"),
}


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'gcl.ssl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_NAMES)
