"""TensorBoard: every number of ``metrics.jsonl``, pictures of learnt views, and the items for the projector."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gcl.data import Dataset
from gcl.errors import NoVectors
from gcl.evaluation.top_k import scoring
from gcl.recommenders import Recommender
from gcl.training.diagnose import pictures

POINTS = 5000
"""Items in the projector at most."""
POINTS_A_SIDE = 256
"""Of a picture, at least."""


class Board:
    """Event files in the folder of a run; ``from_step``: what an earlier writer wrote there and after is hidden."""

    def __init__(self, folder: Path, from_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=from_step or None)

    def scalars(self, step: int, line: Mapping[str, Any]) -> None:
        """Every number of a line, at an epoch."""
        for name, value in line.items():
            if isinstance(value, float):
                self.writer.add_scalar(name, value, step)

    def items(self, model: Recommender, data: Dataset, step: int) -> None:
        """Vectors of items, the most popular ones where there are many, with id, train rows and text columns."""
        try:
            with scoring(model):
                vectors = model.items()
        except NoVectors:
            return
        degree = data.train.by_item.counts.cpu()
        chosen = torch.sort(degree, descending=True, stable=True).indices[:POINTS]
        columns = {n: c for n, c in data.item_columns.items() if getattr(c, "dtype", None) is not None and c.ndim == 1}
        header = ["id", "train rows", *columns]
        rows = [
            [_cell(data.item_ids[i]), str(int(degree[i])), *(_cell(c[i]) for c in columns.values())]
            for i in chosen.tolist()
        ]
        self.writer.add_embedding(
            vectors[chosen.to(vectors.device)].float(), rows, tag="items", global_step=step, metadata_header=header
        )

    def pictures(self, model: Recommender, step: int) -> None:
        """What learnt views and intents look like, enlarged to at least 256 points a side."""
        for name, picture in pictures(model).items():
            times = -(-POINTS_A_SIDE // min(picture.shape))
            large = picture.repeat_interleave(times, 0).repeat_interleave(times, 1)
            self.writer.add_image(name, large[None].cpu().float(), step)

    def close(self) -> None:
        """Put everything on the disk."""
        self.writer.close()


def _cell(value: object) -> str:
    return " ".join(str(value).split()) or "-"
