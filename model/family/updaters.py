"""Memory updaters of the family: (message (B, w), hidden (B, d), user (B,) whether the node is one) -> (B, d)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Recurrent(nn.Module):
    """m' = cell(message, hidden), then `after`; one cell for all nodes."""

    def __init__(self, cell: nn.RNNCell | nn.GRUCell, after: nn.Module | None = None) -> None:
        super().__init__()
        self.cell, self.after = cell, after or nn.Identity()

    def forward(self, message: Tensor, hidden: Tensor, user: Tensor) -> Tensor:
        memory: Tensor = self.after(self.cell(message, hidden))
        return memory


class OneASide(nn.Module):
    """Users and items have updaters of their own."""

    def __init__(self, users: nn.Module, items: nn.Module) -> None:
        super().__init__()
        self.users, self.items = users, items

    def forward(self, message: Tensor, hidden: Tensor, user: Tensor) -> Tensor:
        both = self.users(message, hidden, user), self.items(message, hidden, user)
        return torch.where(user.unsqueeze(1), *both)


class UnitLength(nn.Module):
    """x / |x|: JODIE's L2 norm."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(x, dim=1)
