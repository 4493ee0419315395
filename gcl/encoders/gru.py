"""Gated recurrent units over sequences of items."""

import torch
from torch import Tensor, nn

from gcl.encoders.dropout import Dropout
from gcl.encoders.sequence import SequenceEncoder


class GRUEncoder(SequenceEncoder):
    """h_t = W GRU(drop(E[x_t]), h_{t-1}), W back to the width of the table.

    Weights of the GRU Xavier-uniform, of the table N(0, 0.02). Hidasi et al., GRU4Rec (ICLR 2016).

    Args:
        num_items: size of the catalogue.
        dim: width of the table.
        max_length: items that are read.
        layers: number of recurrent layers.
        hidden: width of the recurrent state.
        dropout: of the input.
    """

    def __init__(
        self,
        num_items: int,
        dim: int = 64,
        max_length: int = 50,
        *,
        layers: int = 1,
        hidden: int = 128,
        dropout: float = 0.3,
    ) -> None:
        super().__init__(num_items, dim, max_length)
        if layers < 1 or hidden < 1:
            raise ValueError(f"layers and hidden must be at least 1, got {layers} and {hidden}.")
        self.dropout, self.out = Dropout(dropout), nn.Linear(hidden, dim)
        self.gru = nn.GRU(dim, hidden, layers, bias=False, batch_first=True)
        for weight in self.gru.parameters():
            nn.init.xavier_uniform_(weight)

    def forward(self, items: Tensor, length: Tensor) -> Tensor:
        """The state after each position, [B, T, d]; padding follows the items and changes none of their states."""
        states: Tensor = self.gru(self.dropout(self.look_up(items)))[0]
        return torch.as_tensor(self.out(states))
