"""The Live page without the page: a user, their list, and what each event does to it."""

from __future__ import annotations

import json
import math
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import uuid4

from service.client import Accepted, AsyncClient, Json, Recommendations, UnexpectedAnswer, calls
from service.client.calls import Call
from service.ui.moves import Move, moves

LENGTH = 12
"""Places of the list."""


@dataclass(frozen=True)
class Turn:
    """A list, and how it differs from the one before. posted, listed: seconds that the two requests took."""

    answer: Recommendations
    moves: list[Move]
    posted: float
    listed: float


@dataclass(frozen=True)
class Memory:
    """A user's memory. moved: how far from where it was when the page began to look; waiting: events of the open
    moment, which memory takes in when the next one begins."""

    values: list[float]
    moved: float
    waiting: int


@dataclass
class Story:
    """Of one user, told to one page."""

    service: AsyncClient
    user: str
    last: Recommendations | None = None
    last_event: Json | None = None
    _first_memory: list[float] = field(default_factory=list)

    def list_call(self, offset: int = 0) -> Call[Recommendations]:
        """The request for the list."""
        return calls.recommend(self._asked(offset))

    def event_call(self) -> Call[Accepted] | None:
        """The request that posted the last event, if there was one."""
        return calls.post_events([self.last_event], True) if self.last_event else None

    async def begin(self) -> Turn:
        """The list as it is. Raises ClientError."""
        return await self._list(0, 0.0)

    async def act(self, item_id: str, kind: str) -> Turn:
        """Posts an event of the user, and shows the list that follows from it. Raises ClientError."""
        event: Json = {"event_id": f"ui-{uuid4()}", "user_id": self.user, "item_id": item_id, "type": kind}
        if self.last and item_id in {item.item_id for item in self.last.items}:
            event["request_id"] = self.last.request_id
        begun = time.perf_counter()
        accepted = await self.service.post_events([event], wait=True)
        if accepted.rejected:
            raise UnexpectedAnswer(str(accepted.errors[0].get("message")))
        self.last_event = event
        return await self._list(accepted.offset, time.perf_counter() - begun)

    async def memory(self) -> Memory | None:
        """As the export of the user begins with it; None for a user without one. Raises ClientError."""
        async with aclosing(self.service.export_user(self.user)) as lines:
            record = json.loads(await anext(lines))
        state = record.get("state")
        if state is None:
            return None
        values = [float(value) for value in state["m"]]
        if len(self._first_memory) != len(values):
            self._first_memory = values
        return Memory(values, math.dist(values, self._first_memory), int(state["count"]))

    async def _list(self, offset: int, posted: float) -> Turn:
        begun = time.perf_counter()
        answer = await self.service.recommend(self._asked(offset))
        before = [item.item_id for item in self.last.items] if self.last else []
        self.last = answer
        after = [item.item_id for item in answer.items]
        return Turn(answer, moves(before, after), posted, time.perf_counter() - begun)

    def _asked(self, offset: int) -> Json:
        return {"user_id": self.user, "k": LENGTH, "explain": True} | ({"min_offset": offset} if offset else {})


def invented() -> str:
    """An id that nobody has."""
    return f"visitor-{uuid4().hex[:8]}"
