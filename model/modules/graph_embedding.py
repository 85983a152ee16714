"""Graph embedding z^G: memory, neighbours, projection and history joined."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LOUD = 6.0
"""Weight at the start of what memory holds of codes. An item's memory averages over many, so that little is left of
each code: by this what they add to a score differs between items by some tenths at first, as its other parts do."""


class GraphEmbedding(nn.Module):
    """z^G_u = W [ m_u || z_u || h^p_u || p_u ], three times (B, d) and (B, heads d) -> (B, d).

    It starts as z_u + p_u1 + [ 0 || LOUD k ] with k the part of h^p_u that begins as an average of the codes of what
    the user took: it is compared with c_i, which begins as an average of such averages over who took item i. codes:
    where that part begins; without codes it starts as z_u + p_u1 + [ s || s ] with s the first half of m_u.
    """

    def __init__(self, dim: int, heads: int = 0, codes: int | None = None) -> None:
        super().__init__()
        self.join = nn.Linear((3 + heads) * dim, dim)
        with torch.no_grad():
            self.join.weight.mul_(0.1)
            self.join.weight[:, dim : 2 * dim] += torch.eye(dim)
            if heads:
                self.join.weight[:, 3 * dim : 4 * dim] += torch.eye(dim)
            if codes is None:
                self.join.weight[:, : dim // 2] += torch.eye(dim // 2).repeat(2, 1)
            else:
                self.join.weight[codes:, 2 * dim + codes : 3 * dim] += LOUD * torch.eye(dim - codes)

    def forward(self, *parts: Tensor) -> Tensor:
        """Memory, neighbours, projection and, where there is one, history; in this order."""
        graph: Tensor = self.join(torch.cat(parts, dim=-1))
        return graph
