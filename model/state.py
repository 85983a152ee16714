"""The state process with gradient: the last steps of a memory are recomputed when it is read.

`model.process` moves memory without gradient. Beside it, training keeps the raw inputs of each user's last 6 closed
moments and each item's last 2 closed ticks, as the rows that were folded, and steps through them again at read, so
that the loss reaches the updaters through several steps. Anything older stands committed, made by the weights of its
time. MODEL.md keeps ids and e of these steps; the sums that a row holds anyway cost O(d) a step, whatever the basket.
The other side's vectors inside them are detached either way. With unchanged weights the recomputed memory equals the
stored one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.modules.memory_updater import MemoryUpdater
from model.modules.still import Still
from model.process.apply import Commits
from model.process.batch import Events
from model.process.records import Float, Int, Records, row_inputs
from model.process.state import State

USER_STEPS = 6
ITEM_STEPS = 2


@dataclass
class Steps:
    """Inputs of S consecutive steps of B nodes, the oldest first: m (B, S, d), sum (B, S, r), count, gap, first (B, S).

    A step with count 0 is none.
    """

    m: Float
    sum: Float
    count: Float
    gap: Float
    first: Float

    @classmethod
    def none(cls, nodes: int, steps: int, memory_dim: int, message_dim: int) -> Steps:
        flat = np.zeros((3, nodes, steps), dtype=np.float32)
        wide = np.zeros((nodes, steps, memory_dim + message_dim), dtype=np.float32)
        return cls(wide[..., :memory_dim], wide[..., memory_dim:], *flat)

    def push(self, nodes: Int, rows: Records) -> None:
        """Each of some distinct nodes made a step: its oldest one is forgotten."""
        for name, values in row_inputs(rows).items():
            mine = getattr(self, name)
            mine[nodes, :-1] = mine[nodes, 1:]
            mine[nodes, -1] = values

    def followed_by(self, nodes: Int, rows: Records) -> Steps:
        """The steps of `nodes` and then the one that their rows hold open."""
        opened = row_inputs(rows)
        return Steps(**{n: np.concatenate([getattr(self, n)[nodes], v[:, None]], axis=1) for n, v in opened.items()})

    @classmethod
    def join(cls, parts: Sequence[Steps]) -> Steps:
        """The nodes of all parts, one after the other."""
        return cls(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in cls.__dataclass_fields__})

    def take(self, nodes: slice) -> Steps:
        return Steps(**{n: getattr(self, n)[nodes] for n in self.__dataclass_fields__})

    def forget(self, kept: Int) -> None:
        """Leaves each node its last `kept` (B,) steps, as if its life had begun with them."""
        age = np.arange(self.count.shape[1], 0, -1)
        self.count[age > kept[:, None]] = 0.0
        oldest = (np.arange(len(kept)), self._oldest())
        cut = kept < len(age)
        self.gap[oldest] *= ~cut
        self.first[oldest] = np.maximum(self.first[oldest], cut)

    def _oldest(self) -> Int:
        """(B,) each node's oldest step; the last, empty one of a node without any."""
        there = self.count > 0
        oldest: Int = np.where(there.any(axis=1), there.argmax(axis=1), there.shape[1] - 1)
        return oldest

    def replay(self, update: MemoryUpdater | Still, initial: Tensor) -> Tensor:
        """(B, d) memory after all steps, with gradient. initial: (d,) where a node's first step is among them."""
        nodes, oldest = np.arange(len(self.m)), self._oldest()
        begins = torch.from_numpy(self.first[nodes, oldest] > 0).unsqueeze(1)
        memory = torch.where(begins, initial, torch.from_numpy(self.m[nodes, oldest]))
        for step in np.flatnonzero(self.count.any(axis=0)):
            inputs = (torch.from_numpy(v[:, step]) for v in (self.sum, self.count, self.gap, self.first))
            memory = update(memory, *inputs)
        return memory


class TrainingState:
    """A `State` and the last steps of its memories."""

    def __init__(self, state: State) -> None:
        spec = state.model.spec
        self.state = state
        self._users = Steps.none(len(state.users), USER_STEPS, spec.dim, spec.message_dim)
        self._items = Steps.none(len(state.items), ITEM_STEPS, spec.item_dim, spec.message_dim)

    def apply(self, events: Events) -> None:
        commits = Commits()
        self.state.apply(events, commits)
        for steps, folded in ((self._users, commits.users), (self._items, commits.items)):
            for nodes, rows in folded:
                steps.push(nodes, rows)

    def user_steps(self, users: Int) -> Steps:
        """Their replay is the users' committed memory: the last closed moments and the open one."""
        return self._users.followed_by(users, self.state.users[users])

    def item_steps(self, items: Int) -> Steps:
        """Their replay is the items' memory as visible in the tick of the log's time; an open tick does not show."""
        rows = self.state.items[items]
        steps = self._items.followed_by(items, rows)
        steps.count[rows["key"] >= self.state.log_time // self.state.model.spec.item_tick, -1] = 0.0
        return steps

    def set_static(self, items: Int, x: Float) -> None:
        """Gives items the static halves (B, d/2) that the present weights make."""
        self.state.items["x"][items] = x
        self.state.item_vectors[items, : x.shape[1]] = x
