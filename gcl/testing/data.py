"""A small made data set with everything a recommender can ask for."""

import numpy as np
import torch

from gcl.data import Dataset, Interactions, Modality, Split, TrainInteractions


def tiny_dataset(users: int = 24, items: int = 18, seed: int = 0, time: bool = True) -> Dataset:
    """Users in two tastes, items in two groups, one train row at least for all; times, titles and two modalities."""
    generator = torch.Generator().manual_seed(seed)
    taste, group = torch.arange(users) % 2, torch.arange(items) % 2
    likes = torch.where(taste[:, None] == group[None, :], 0.7, 0.1)
    chosen = torch.rand(users, items, generator=generator) < likes
    chosen[torch.arange(users), torch.arange(users) % items] = True
    chosen[torch.arange(items) % users, torch.arange(items)] = True
    user, item = chosen.nonzero(as_tuple=True)
    order = torch.randperm(user.numel(), generator=generator)
    user, item = user[order], item[order]
    stamp = torch.arange(user.numel()) if time else None
    everything = Interactions.from_columns(user, item, users, items, stamp)
    part = torch.rand(user.numel(), generator=generator)
    part[_first(user)] = 0.0
    train, valid, test = ((part < 0.7), (part >= 0.7) & (part < 0.85), (part >= 0.85))
    rows = everything.select(train)
    split = Split(
        TrainInteractions(rows.user, rows.item, users, items, rows.time),
        everything.select(valid),
        everything.select(test),
        {"kind": "made", "seed": seed},
    )
    return Dataset(
        name="tiny",
        split=split,
        user_ids=np.array([f"u{i}" for i in range(users)]),
        item_ids=np.array([f"i{i}" for i in range(items)]),
        item_columns={"title": np.array([f"Title {i}" for i in range(items)])},
        modalities={
            "text": Modality(torch.randn(items, 6, generator=generator), torch.ones(items, dtype=torch.bool)),
            "image": Modality(torch.randn(items, 5, generator=generator), torch.arange(items) % 5 != 0),
        },
    )


def _first(user: torch.Tensor) -> torch.Tensor:
    """Positions of the first row of every user."""
    order = torch.argsort(user, stable=True)
    head = torch.ones(user.numel(), dtype=torch.bool)
    head[1:] = user[order][1:] != user[order][:-1]
    return order[head]
