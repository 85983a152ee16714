"""GRU4Rec (Hidasi et al., ICLR 2016), with the softmax loss over all items."""

from __future__ import annotations

from torch import Tensor, nn

from model.baselines.sequences import SequenceFit, SequenceNetwork, SequenceSetting


class Recurrent(nn.Module):
    """h_t = GRU(token_t, h_{t-1}), stacked `layers` times, then a linear map to the width of the items' vectors."""

    def __init__(self, setting: SequenceSetting) -> None:
        super().__init__()
        self.dropout = nn.Dropout(setting.dropout)
        self.gru = nn.GRU(setting.dim, setting.dim, setting.layers, batch_first=True)
        self.output = nn.Linear(setting.dim, setting.dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, d) -> (B, T, d)."""
        h, _ = self.gru(self.dropout(tokens))
        states: Tensor = self.output(self.dropout(h))
        return states


def network(setting: SequenceSetting, items: int) -> SequenceNetwork:
    return SequenceNetwork(items, setting.dim, Recurrent(setting))


gru4rec = SequenceFit(network)
