"""A new model's lists beside those of the active one, on the events that come in, before it takes over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from threading import Event as Flag
from typing import Any

from service.core.live_models import LiveModel
from service.core.side_by_side import SideBySide
from service.ports import LiveModels

ENOUGH = 200
"""Events."""
_LOOK_SECONDS = 0.25
_QUIET_SECONDS = 2.0
"""Nobody waits where nothing comes in for so long."""
_IDLE_SECONDS = 5.0
"""Nor where things come in, and none of them is looked for."""


@dataclass(frozen=True)
class Watching:
    """end: offset of the log's newest record; seconds: at most. The replicas look for events, and report."""

    models: LiveModels
    end: Callable[[], int]
    seconds: float

    def __call__(self, serving: LiveModel, new: LiveModel, stop: Flag) -> dict[str, Any]:
        """How often either model's lists held what came in next; `reason`, if the new one's did too rarely. Blocks."""
        del serving  # the replicas know it
        before, found = self.models.beside(new.generation), SideBySide()
        began = moved = time.monotonic()
        end = self.end()
        while found.events < ENOUGH and not stop.wait(_LOOK_SECONDS):
            now, newest = time.monotonic(), self.end()
            end, moved = (newest, now) if newest > end else (end, moved)
            reported = self.models.beside(new.generation)
            found = reduce(add, (one - before.get(name, SideBySide()) for name, one in reported.items()), SideBySide())
            idle = not found.events and now - began > _IDLE_SECONDS
            if idle or now - moved > _QUIET_SECONDS or now - began > self.seconds:
                break
        return {"live": found.figures(), "reason": found.objection()}
