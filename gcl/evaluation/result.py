"""What an evaluation returns: values of every user first, means second, and the protocol that they hold under."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Tensor

from gcl.evaluation.protocol import Protocol


@dataclass(frozen=True)
class Group:
    """Metrics of a group of users by ``activity``, or of items by ``popularity``.

    Its ``size`` members have ``low`` to ``high`` train rows. Of a group of items, recall is the recall of the test
    items in the group alone, over the users that have one.
    """

    kind: Literal["activity", "popularity"]
    low: int
    high: int
    size: int
    metrics: dict[str, float]

    @property
    def name(self) -> str:
        """``users with 8 to 14 train rows``."""
        who = "users" if self.kind == "activity" else "items"
        return f"{who} with {self.low} to {self.high} train rows"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of :func:`gcl.evaluation.evaluate`.

    ``metrics``: name -> mean over users (coverage and gini: one number of all lists). ``per_user``: name -> [n]
    float64, aligned with ``users`` [n]. ``groups``: by user activity and item popularity. ``cold``: how many of the
    users have no train row.
    """

    metrics: dict[str, float]
    per_user: dict[str, Tensor]
    users: Tensor
    protocol: Protocol
    groups: tuple[Group, ...] = field(default=())
    cold: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Everything but the values of users, ready for JSON; those are in :meth:`tensors`."""
        groups = [asdict(group) for group in self.groups]
        return {"metrics": dict(self.metrics), "protocol": self.protocol.to_dict(), "groups": groups, "cold": self.cold}

    def tensors(self) -> dict[str, Tensor]:
        """``users`` and the values of users by metric, ready for safetensors."""
        return {"users": self.users, **self.per_user}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> Self:
        """The evaluation that :meth:`to_dict` and :meth:`tensors` wrote; without tensors, one that has no users."""
        per_user = dict(tensors or {"users": torch.zeros(0, dtype=torch.int64)})
        users = per_user.pop("users")
        groups = tuple(Group(**group) for group in values["groups"])
        protocol = Protocol.from_dict(values["protocol"])
        return cls(dict(values["metrics"]), per_user, users, protocol, groups, values["cold"])
