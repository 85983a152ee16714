"""How long an accepted event takes to show: single events posted at a steady rate, one in four looked for in its
user's list.

The rate is kept whatever the service does (open loop), so a slow answer cannot hide by delaying the next question.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np

from service.client import ClientError, encode_events
from service.commands.wire import Wire

SEEN_WITHIN = 10.0
"""Seconds after which an event counts as unseen."""
LOOKED_FOR = 4
"""One event in so many is looked for, by a GET of its own: looking is work for the same processes, and must not drown
what it looks at."""
_GETS_PER_POST = 0.1
"""Lists asked for besides, to time a plain GET."""


@dataclass
class Freshness:
    """Seconds. fresh: from the 202 to the answer that shows the event; whole: from the start of the POST to there;
    get: of plain GETs. accepted: places of the events that were; offset: of the newest one; failed: POSTs that were not
    accepted, and GETs without an answer; unseen: events that did not show within SEEN_WITHIN."""

    fresh: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    get: list[float] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    uncertain: list[int] = field(default_factory=list)
    offset: int = 0
    failed: int = 0
    unseen: int = 0


def percentile_ms(seconds: Sequence[float], q: float) -> float:
    """Milliseconds, to the microsecond."""
    return round(1000 * float(np.percentile(seconds, q)), 3)


async def measure(
    wire: Wire,
    events: Sequence[dict[str, Any]],
    rate: float,
    progress: Callable[[int], None] | None = None,
    looked_for: int = LOOKED_FOR,
) -> Freshness:
    """Posts each of `events` alone, `rate` a second, and looks for one in `looked_for`."""
    found = Freshness()
    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for place, event in enumerate(events):
            await asyncio.sleep(max(0.0, start + place / rate - time.perf_counter()))
            tasks.create_task(_post(wire, place, event, found, look=place % looked_for == 0))
            if random.random() < _GETS_PER_POST:  # noqa: S311 - a sample
                tasks.create_task(_get(wire, event["user_id"], found))
            if progress:
                progress(1)
    return found


async def _post(wire: Wire, place: int, event: dict[str, Any], found: Freshness, look: bool) -> None:
    begun = time.perf_counter()
    try:
        answer = await wire.ask("POST", "/v1/events", encode_events([event]))
    except ClientError:
        found.failed += 1
        found.uncertain.append(place)
        return
    accepted = time.perf_counter()
    if answer["accepted"] != 1:
        found.failed += 1
        return
    found.accepted.append(place)
    found.offset = max(found.offset, answer["offset"])
    if not look:
        return
    visible = await _visible(wire, event["user_id"], answer["offset"])
    if visible is None:
        found.unseen += 1
        return
    found.fresh.append(visible - accepted)
    found.whole.append(visible - begun)


async def _visible(wire: Wire, user_id: str, offset: int) -> float | None:
    """When an answer came that shows everything up to `offset`; None if none did in time."""
    deadline = time.perf_counter() + SEEN_WITHIN
    while time.perf_counter() < deadline:
        try:
            answer = await wire.ask("GET", f"{_list(user_id)}?min_offset={offset}")
        except ClientError:
            await asyncio.sleep(0.1)
            continue
        if answer["state"]["offset"] >= offset:
            return time.perf_counter()
    return None


async def _get(wire: Wire, user_id: str, found: Freshness) -> None:
    begun = time.perf_counter()
    try:
        await wire.ask("GET", _list(user_id))
    except ClientError:
        found.failed += 1
        return
    found.get.append(time.perf_counter() - begun)


def _list(user_id: str) -> str:
    return f"/v1/users/{quote(user_id, safe='')}/recommendations"
