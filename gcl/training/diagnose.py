"""What the representations of a model look like, on samples that are the same at every evaluation."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gcl import diagnostics
from gcl.data import Dataset, query
from gcl.encoders import LightGCNEncoder
from gcl.errors import NoVectors
from gcl.evaluation.top_k import scoring
from gcl.recommenders import Recommender
from gcl.training.seeds import derive
from gcl.views.report import Pictured, Reports

PAIRS, ROWS, SPREAD = 4096, 65536, 1024
"""At most so many train pairs are compared, rows ranked, rows compared with each other."""


def diagnose(model: Recommender, data: Dataset, seed: int) -> dict[str, float]:
    """Alignment of train pairs, uniformity and effective rank of users and items, popularity in the norms of items,
    overlap of the cosines of train pairs and random pairs; nothing where the model has no vectors.

    The model is scored as in evaluation, and left as it was.
    """
    device = data.train.user.device
    generator = torch.Generator(device).manual_seed(derive(seed, "diagnostics"))

    def draw(size: int, number: int) -> Tensor:
        return torch.randint(size, (number,), generator=generator, device=device)

    rows = draw(len(data.train), min(PAIRS, len(data.train)))
    others = draw(data.num_items, len(rows))
    try:
        with scoring(model):
            items = model.items()
            users, where = torch.unique(data.train.user[rows], return_inverse=True)
            vectors = model.queries(query(data, users, "valid"))
    except NoVectors:
        return {}
    sampled = items if len(items) <= ROWS else items[draw(len(items), ROWS)]
    degree = data.train.by_item.counts
    user, item, other = vectors[where], items[data.train.item[rows]], items[others]
    positive, negative = F.cosine_similarity(user, item), F.cosine_similarity(user, other)
    overlap = diagnostics.score_overlap(positive, negative)
    found = {
        "alignment": diagnostics.alignment(user, item),
        "uniformity/user": diagnostics.uniformity(vectors, rows=SPREAD, generator=generator),
        "uniformity/item": diagnostics.uniformity(items, rows=SPREAD, generator=generator),
        "effective_rank/user": diagnostics.effective_rank(vectors),
        "effective_rank/item": diagnostics.effective_rank(sampled),
        "popularity_correlation": diagnostics.popularity_correlation(items, degree),
        "score_overlap": overlap.overlap,
        "d_prime": overlap.d_prime,
    }
    found |= learnt_views(model)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def learnt_views(model: Recommender) -> dict[str, float]:
    """What the model's learnt views report of themselves: ``views/<where>/<what>``; nothing is drawn."""
    encoder = getattr(model, "encoder", None)
    if not isinstance(encoder, LightGCNEncoder):
        return {}
    with torch.no_grad():
        return {
            f"views/{place}/{name}": value
            for place, view in model.named_modules()
            if isinstance(view, Reports)
            for name, value in view.report(encoder.adj, encoder.table).items()
        }


def pictures(model: Recommender) -> dict[str, Tensor]:
    """The pictures [rows, columns] that they make, under the same names."""
    encoder = getattr(model, "encoder", None)
    if not isinstance(encoder, LightGCNEncoder):
        return {}
    with torch.no_grad():
        return {
            f"views/{place}/{name}": picture
            for place, view in model.named_modules()
            if isinstance(view, Pictured)
            for name, picture in view.pictures(encoder.adj, encoder.table).items()
        }
