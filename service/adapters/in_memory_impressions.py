"""What was shown, inside one process: for tests and examples."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from service.core.impressions import Impression, Outcome, Shown


@dataclass
class InMemoryImpressions:
    """`Impressions`. most: how many are kept; seconds: for how long."""

    most: int
    seconds: int
    clock: Callable[[], float] = time.time
    shown: dict[str, tuple[Impression, float]] = field(default_factory=dict)
    """With the time at which each goes; oldest first."""
    outcomes: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)

    async def store(self, shown: Sequence[Impression]) -> None:
        for one in shown:
            if await self.read(one.request_id) is None:
                self.outcomes.pop(one.request_id, None)
            self.shown[one.request_id] = one, self.clock() + self.seconds
        for request_id in list(self.shown)[: max(0, len(self.shown) - self.most)]:
            del self.shown[request_id]
            self.outcomes.pop(request_id, None)

    async def credit(self, outcomes: Sequence[Outcome]) -> int:
        known = [one for one in outcomes if await self.read(one.request_id) is not None]
        for one in known:
            self.outcomes.setdefault(one.request_id, Counter())[one.type, one.item_id] += 1
        return len(known)

    async def read(self, request_id: str) -> Shown | None:
        impression, until = self.shown.get(request_id, (None, 0.0))
        if impression is None or until <= self.clock():
            return None
        return Shown(impression, self.outcomes.get(request_id, Counter()))
