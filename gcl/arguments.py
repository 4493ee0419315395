"""Parts remember the arguments they were built with, so that any object can be written back as configuration."""

import inspect
from typing import Any, Self


class Recorded:
    """Mixin: ``obj.arguments`` is the mapping of constructor arguments, defaults included.

    A part mixed with ``Recorded`` needs no ``get_config``: ``type(obj)(**obj.arguments)`` builds an equal one.
    Recorded in ``__new__``, before ``__init__`` runs, so that subclasses need not call anything.
    """

    arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Create the object and store the bound constructor arguments."""
        self = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        bound = signature.bind_partial(self, *args, **kwargs)
        bound.apply_defaults()
        values: dict[str, Any] = {}
        for name, value in list(bound.arguments.items())[1:]:
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                values.update(value)
            elif kind is not inspect.Parameter.VAR_POSITIONAL:
                values[name] = value
        object.__setattr__(self, "arguments", values)
        return self
