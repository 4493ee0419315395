"""The small graph that tests of views share."""

import torch

from gcl.testing import tiny_dataset

DATA = tiny_dataset()
SIDES = (DATA.num_users, DATA.num_items)


def ready(view, adj, dim=8):
    """A view with its parameters, always the same."""
    torch.manual_seed(0)
    view.allocate(adj, dim, SIDES)
    return view
