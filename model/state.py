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
from model.process.apply import Commits
from model.process.batch import Events
from model.process.records import Float, Int, Records, row_inputs
from model.process.state import State

USER_STEPS = 6
ITEM_STEPS = 2
SPAN_BITS = 32
"""Of the seconds that events applied together may span: 136 years."""


@dataclass
class Steps:
    """Inputs of S consecutive steps of B nodes, the oldest first: m (B, S, d), sum (B, S, r), count, gap, steps (B, S).

    A step with count 0 is none.
    """

    m: Float
    sum: Float
    count: Float
    gap: Float
    steps: Float

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

    def followed_by(self, rows: Records) -> Steps:
        """The steps and then the one that the nodes' rows (B,) hold open."""
        opened = row_inputs(rows)
        return Steps(**{n: np.concatenate([getattr(self, n), v[:, None]], axis=1) for n, v in opened.items()})

    def continued(self, nodes: Int, until: Int, folded: Sequence[tuple[Int, Records]]) -> Steps:
        """The last S steps of `nodes` (M,), repeated ones allowed, each after those of the first `until` (M,) entries
        of `folded` that made a step of it."""
        kept = self.count.shape[1]
        steps = self.take(nodes)
        if not folded:
            return steps
        span = len(folded) + 1
        key = np.concatenate([which * span + place for place, (which, _) in enumerate(folded)])
        order = np.argsort(key)
        first = np.searchsorted(key[order], nodes * span)
        end = np.searchsorted(key[order], nodes * span + until)
        place = end[:, None] - kept + np.arange(kept)  # (M, S) in the folded ones; before `first`, in the steps held
        made = place >= first[:, None]
        held = np.where(made, 0, place - first[:, None] + kept)
        fresh = row_inputs(np.concatenate([rows for _, rows in folded]))
        for name, values in fresh.items():
            mine = getattr(self, name)[nodes[:, None], held]
            mine[made] = values[order[place[made]]]
            setattr(steps, name, mine)
        return steps

    def take(self, nodes: Int | slice) -> Steps:
        return Steps(**{n: getattr(self, n)[nodes] for n in self.__dataclass_fields__})

    def put(self, nodes: Int, steps: Steps) -> None:
        """Gives some nodes other steps."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[nodes] = getattr(steps, name)

    def forget(self, kept: Int) -> None:
        """Leaves each node its last `kept` (B,) steps, as if its life had begun with them."""
        age = np.arange(self.count.shape[1], 0, -1)
        self.count[age > kept[:, None]] = 0.0
        oldest = (np.arange(len(kept)), self._oldest())
        cut = kept < len(age)
        self.gap[oldest] *= ~cut
        made = np.maximum((self.count > 0).cumsum(axis=1) - 1, 0)
        self.steps = np.where(cut[:, None], made, self.steps).astype(np.float32)

    def _oldest(self) -> Int:
        """(B,) each node's oldest step; the last, empty one of a node without any."""
        there = self.count > 0
        oldest: Int = np.where(there.any(axis=1), there.argmax(axis=1), there.shape[1] - 1)
        return oldest

    def replay(self, update: MemoryUpdater, initial: Tensor) -> Tensor:
        """(B, d) memory after all steps, with gradient. initial: (d,) where a node's first step is among them."""
        nodes, oldest = np.arange(len(self.m)), self._oldest()
        begins = torch.from_numpy(self.steps[nodes, oldest] == 0).unsqueeze(1)
        memory = torch.where(begins, initial, torch.from_numpy(self.m[nodes, oldest]))
        for step in np.flatnonzero(self.count.any(axis=0)):
            made = np.flatnonzero(self.count[:, step])
            inputs = (torch.from_numpy(v[made, step]) for v in (self.sum, self.count, self.gap, self.steps))
            here = torch.from_numpy(made)
            memory = memory.index_copy(0, here, update(memory[here], *inputs))
        return memory


class TrainingState:
    """A `State` and the last steps of its memories."""

    def __init__(self, state: State) -> None:
        spec = state.model.spec
        self.state = state
        self._users = Steps.none(len(state.users), USER_STEPS, spec.dim, spec.message_dim)
        self._items = Steps.none(len(state.items), ITEM_STEPS, spec.item_dim, spec.message_dim)

    def apply(self, events: Events) -> None:
        self._keep(self._apply(events))

    def apply_and_see(self, events: Events, users: Int, at: Int) -> tuple[Records, Steps]:
        """Applies the events; returns the rows (M,) and steps of `users` (M,) as they were before their moments `at`
        (M,), which are all moments of these events, ascending by user and time. The steps' replay is the memory that
        these moments found: the last closed moments and the one then open."""
        rows = self.state.users[users]
        folded = np.zeros(len(users), dtype=np.int64)
        commits = self._apply(events)
        start = int(at.min())
        moments = users << SPAN_BITS | (at - start)
        for opened in commits.opened:
            place = np.searchsorted(moments, opened.users << SPAN_BITS | (opened.at - start))
            rows[place], folded[place] = opened.rows, opened.folded
        steps = self._users.continued(users, folded, commits.users).followed_by(rows)
        self._keep(commits)
        return rows, steps

    def _apply(self, events: Events) -> Commits:
        commits = Commits()
        self.state.apply(events, commits)
        return commits

    def _keep(self, commits: Commits) -> None:
        for steps, folded in ((self._users, commits.users), (self._items, commits.items)):
            for nodes, rows in folded:
                steps.push(nodes, rows)

    def user_steps(self, users: Int) -> Steps:
        """Their replay is the users' committed memory: the last closed moments and the open one."""
        return self._users.take(users).followed_by(self.state.users[users])

    def item_steps(self, items: Int, tick: int) -> Steps:
        """Their replay is the items' memory as visible in `tick`; a tick that is still open does not show."""
        rows = self.state.items[items]
        steps = self._items.take(items).followed_by(rows)
        steps.count[rows["key"] >= tick, -1] = 0.0
        return steps

    def set_static(self, items: Int, x: Float) -> None:
        """Gives items the static parts (B, s) that the present weights make."""
        self.state.items["x"][items] = x
        self.state.item_vectors[items, : x.shape[1]] = x
