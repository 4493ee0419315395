"""Two looks at every sequence of a batch, out of a list of views."""

import torch
from torch import Tensor, nn

from gcl.data import TrainInteractions
from gcl.views import SequenceView, Views
from gcl.views.entries import one_view
from gcl.views.sequence import Looks, draw


class SequenceLooks(nn.Module):
    """Every sequence gets two different entries of ``views``, drawn uniformly; of a single entry, two draws.

    An entry is a view or a chain of views. All entries are made for all sequences, and each takes its own.
    """

    def __init__(self, views: Views, train: TrainInteractions) -> None:
        super().__init__()
        if not views:
            raise ValueError("views must have at least one entry, got none.")
        self.chains = nn.ModuleList(one_view(entry, SequenceView) for entry in views)
        for view in self.chains.modules():
            if isinstance(view, SequenceView):
                view.allocate(train)

    def forward(self, items: Tensor, length: Tensor, generator: torch.Generator | None = None) -> tuple[Looks, Looks]:
        """Two looks at sequences [B, T] of ``length`` [B]."""
        if len(self.chains) == 1:
            return self._made(0, items, length, generator), self._made(0, items, length, generator)
        made = [self._made(at, items, length, generator) for at in range(len(self.chains))]
        shape = torch.Size((len(length), len(made)))
        pair = torch.argsort(draw(shape, items.device, generator), dim=1)[:, :2]
        width = max(look.shape[1] for look, _ in made)
        looks = torch.stack([nn.functional.pad(look, (0, width - look.shape[1])) for look, _ in made])
        lengths = torch.stack([n for _, n in made])
        rows = torch.arange(len(length), device=items.device)
        first, second = ((looks[entry, rows], lengths[entry, rows]) for entry in pair.unbind(1))
        return first, second

    def _made(self, at: int, items: Tensor, length: Tensor, generator: torch.Generator | None) -> Looks:
        chain = self.chains[at]
        assert isinstance(chain, nn.ModuleList)
        for view in chain:
            items, length = view(items, length, generator)
        return items, length
