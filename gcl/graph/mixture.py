"""Several graphs of the same nodes become one."""

from collections.abc import Sequence

import torch

from gcl.errors import InputError
from gcl.graph.adjacency import Adjacency


def mixed(graphs: Sequence[Adjacency], shares: Sequence[float]) -> Adjacency:
    """A = Σ_m w_m A_m, edges of one place added once: one product in place of M. Nothing is normalised anew.

    A graph of share 0 leaves no edge, and a single graph of share 1 is returned as it is.

    Args:
        graphs: at least one, all of one size.
        shares: w, one a graph, not negative.

    Raises:
        InputError: graphs of different sizes, or shares that do not fit them.
    """
    if not graphs or len(graphs) != len(shares) or min(shares) < 0:
        raise InputError(f"shares must be not negative, one a graph, got {list(shares)} for {len(graphs)} graphs.")
    sizes = {(g.num_rows, g.num_cols) for g in graphs}
    if len(sizes) > 1:
        raise InputError(f"graphs to be mixed must have one size, got {sorted(sizes)}.")
    kept = [(graph, share) for graph, share in zip(graphs, shares, strict=True) if share > 0]
    if len(kept) == 1 and kept[0][1] == 1:
        return kept[0][0]
    rows, cols = sizes.pop()
    place = [g.row.long() * cols + g.indices.long() for g, _ in kept] or [graphs[0].row.new_zeros(0, dtype=torch.int64)]
    values = [g.values * share for g, share in kept] or [graphs[0].values.new_zeros(0)]
    edges, owner = torch.unique(torch.cat(place), return_inverse=True)
    total = torch.zeros(len(edges), device=edges.device).index_add_(0, owner, torch.cat(values))
    return Adjacency.from_edges(edges // cols, edges % cols, rows, cols, total)
