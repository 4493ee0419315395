"""One training step of DCCF, loss and gradients, by gcl and by SSLRec's arithmetic in plain torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.systems.gowalla import forget, train
from gcl.data import Batch, Dataset, Interactions, Split, TrainInteractions
from gcl.losses import InfoNCE
from gcl.recommenders.general.dccf import DCCF

Step = Callable[[], tuple[Tensor, list[Tensor]]]
TAU, WEIGHT, DECAY = 0.2, 1e-2, 1e-4


def model(rows: TrainInteractions, dim: int, layers: int, intents: int) -> DCCF:
    """DCCF as SSLRec has it, with the same start every time."""
    nothing = torch.zeros(0, dtype=torch.long)
    rest = Interactions.from_columns(nothing, nothing, rows.num_users, rows.num_items)
    ids = (np.arange(rows.num_users).astype(str), np.arange(rows.num_items).astype(str))
    data = Dataset(name="train", split=Split(rows, rest, rest, {"kind": "made"}), user_ids=ids[0], item_ids=ids[1])
    torch.manual_seed(0)
    return DCCF(
        data, dim=dim, layers=layers, intents=intents, objective=InfoNCE(temperature=TAU), weight=WEIGHT,
        layout="sslrec", reg=0.0, intent_reg=0.0, decay=DECAY,
    )  # fmt: skip


def batch(rows: TrainInteractions, size: int) -> Batch:
    """Train rows and one random item each, the same every time."""
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(len(rows), (size,), generator=generator)
    negatives = torch.randint(rows.num_items, (size, 1), generator=generator)
    return Batch(users=rows.user[chosen], items=rows.item[chosen], negatives=negatives)


def gcl(made: DCCF, drawn: Batch) -> Step:
    """The model's own losses."""
    parameters = list(made.parameters())

    def step() -> tuple[Tensor, list[Tensor]]:
        loss = torch.stack(list(made.losses(drawn).values())).sum()
        return loss.detach(), list(torch.autograd.grad(loss, parameters))

    return step


def sslrec(made: DCCF, drawn: Batch) -> Step:
    """Both ends of every edge gathered, the graph as a COO product, logits kept: the form of SSLRec's ``dccf.py``.

    A product whose values need a gradient is a gather and an ``index_add``, as in ``torch_sparse.spmm``, which SSLRec
    calls: torch's COO product makes the dense [N, N] gradient there, 20 GB on gowalla. Lengths are ``F.normalize``'s.
    """
    adj, parameters = made.encoder.adj, list(made.parameters())
    table, *prototypes = parameters
    head, tail, users, size = adj.row.long(), adj.indices.long(), made.num_users, adj.num_rows
    graph = torch.sparse_coo_tensor(torch.stack([head, tail]), adj.values, (size, size)).coalesce()
    negatives = drawn.negatives[:, 0] if drawn.negatives is not None else drawn.items
    own, other = torch.unique(drawn.users), torch.unique(torch.cat([drawn.items, negatives]))

    def masked(scored: Tensor, x: Tensor) -> Tensor:
        ends = (F.normalize(scored.index_select(0, side), dim=1) for side in (head, tail))
        alike = ((next(ends) * next(ends)).sum(1) + 1) / 2
        inverse = alike.new_zeros(size).index_add(0, head, alike).pow(-1).nan_to_num(0, 0, 0)
        values = inverse.index_select(0, head) * alike
        return torch.zeros_like(x).index_add(0, head, values[:, None] * x.index_select(0, tail))

    def between(a: Tensor, b: Tensor) -> Tensor:
        a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
        return ((a @ b.T / TAU).exp().sum(1).log() - (a * b / TAU).sum(1)).sum() / own.numel()

    def step() -> tuple[Tensor, list[Tensor]]:
        x: Tensor = table
        entered, contrast = [x], table.new_zeros(())
        for _ in range(made.encoder.num_layers):
            z = torch.sparse.mm(graph, x)
            sides = zip((x[:users], x[users:]), prototypes, strict=True)
            s = torch.cat([torch.softmax(side @ c, dim=1) @ c.T for side, c in sides])
            g, q = masked(z, x), masked(s, x)
            for view in (s, g, q):
                contrast = contrast + between(z[own], view[own]) + between(z[users + other], view[users + other])
            x = z + s + g + q + x
            entered.append(x)
        final = torch.stack(entered).sum(0)
        u, i, j = final[drawn.users], final[users + drawn.items], final[users + negatives]
        rank = F.softplus((u * j).sum(1) - (u * i).sum(1)).mean()
        loss = rank + WEIGHT * contrast + DECAY * torch.stack([p.square().sum() for p in parameters]).sum()
        return loss.detach(), list(torch.autograd.grad(loss, parameters))

    return step


FORMS: dict[str, Callable[[DCCF, Batch], Step]] = {"gcl": gcl, "sslrec": sslrec}


def step_task(job: dict[str, Any]) -> Callable[[], object]:
    """Loss and gradients on gowalla."""
    rows = train()
    form = FORMS[job["form"]](model(rows, job["dim"], job["layers"], job["intents"]), batch(rows, job["batch_size"]))
    forget()
    return form
