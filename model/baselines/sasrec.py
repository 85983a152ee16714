"""SASRec (Kang and McAuley, ICDM 2018): self-attention over the last events."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.baselines.sequences import SequenceFit, SequenceNetwork, SequenceSetting

HEADS = 2


class SelfAttention(nn.Module):
    """x_0 = token + position,  y = x_l + MHA(LN x_l),  x_{l+1} = y + FFN(LN y),  states = LN x_L

    A state attends to its own token and those before it.
    """

    def __init__(self, setting: SequenceSetting) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(setting.length + 1, setting.dim) * 0.02)
        self.dropout = nn.Dropout(setting.dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                setting.dim, HEADS, 2 * setting.dim, setting.dropout, batch_first=True, norm_first=True
            )
            for _ in range(setting.layers)
        )
        self.norm = nn.LayerNorm(setting.dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, d) -> (B, T, d)."""
        length = tokens.shape[1]
        x = self.dropout(tokens + self.positions[:length])
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        for layer in self.layers:
            x = layer(x, src_mask=later)
        states: Tensor = self.norm(x)
        return states


def network(setting: SequenceSetting, items: int) -> SequenceNetwork:
    return SequenceNetwork(items, setting.dim, SelfAttention(setting))


sasrec = SequenceFit(network)
