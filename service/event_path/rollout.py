"""What a worker does for its model beside applying records: it has the checks made, switches, and notices the end.

filling -> checking -> ready -> (switch) -> active ... given up
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event as Flag
from typing import Any

import structlog

from service.core.live_models import Live, LiveModel
from service.errors import Fenced, StoreUnavailable
from service.ports import LiveModels

log = structlog.get_logger("peregrine.rollout")

EVERY = 0.25
"""Seconds between two looks at the record."""
LEAST_COSINE = 0.9999

Checks = Callable[[LiveModel, LiveModel, Flag], Mapping[str, Any]]
"""Compares the active model and the new one, both of which serve; takes its time, until the flag is set. `reason` in
what it finds: why the new one must not become active."""


def in_turn(*checks: Checks) -> Checks:
    """All of them, up to the first that has a reason."""

    def check(serving: LiveModel, new: LiveModel, stop: Flag) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for one in checks:
            found |= one(serving, new, stop)
            if found.get("reason") or stop.is_set():
                break
        return found

    return check


@dataclass
class Rollout:
    """bundle: the hash of this worker's; check: None for none."""

    models: LiveModels
    bundle: str
    check: Checks | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._next = 0.0
        self._is_active = False
        self._thread = ThreadPoolExecutor(1, "checks")
        self._stop = Flag()
        self._under_way: Future[Mapping[str, Any]] | None = None

    def turn(self) -> bool:
        """Looks now and then; True if this worker's model is the active one, or no model of the record is. Raises
        Fenced if the model is not live any more."""
        if self.clock() >= self._next:
            live = self.models.live()
            mine = live.of(self.bundle)
            if mine is None and live.serving is not None:
                raise Fenced("the memory made by this bundle was given up")
            if mine is not None:
                self._go_on(live, mine)
            self._is_active = mine is None or mine.generation == live.active
            self._next = self.clock() + EVERY
        return self._is_active

    def close(self) -> None:
        """Breaks off checks under way."""
        self._stop.set()
        self._thread.shutdown()

    def _go_on(self, live: Live, mine: LiveModel) -> None:
        if mine.stage == "checking":
            self._check(live, mine)
        elif mine.stage == "ready" and mine.switch and (live.active == mine.generation or self._switch(mine)):
            self.models.note(replace(mine, switch=False))  # or it would undo the way back

    def _switch(self, mine: LiveModel) -> bool:
        done = self.models.switch(mine.generation)
        if done:
            log.info("switched", version=mine.version, generation=mine.generation)
        return done

    def _check(self, live: Live, mine: LiveModel) -> None:
        serving = live.serving
        if not all(mine.generation in ready for ready in self.models.replicas().values()):
            return  # a replica does not have its items yet
        if self._under_way is None and self.check is not None and serving is not None:
            self._under_way = self._thread.submit(self.check, serving, mine, self._stop)
        if self._under_way is None or self._under_way.done():
            self._decide(mine, self._found())

    def _found(self) -> Mapping[str, Any]:
        under_way, self._under_way = self._under_way, None
        try:
            return under_way.result() if under_way is not None else {}
        except StoreUnavailable:
            raise  # they are made once more
        except Exception as exc:
            log.exception("checks_failed")
            return {"reason": f"the checks failed: {type(exc).__name__}: {exc}"}

    def _decide(self, mine: LiveModel, found: Mapping[str, Any]) -> None:
        checks = {**mine.checks, **found}
        cosine = mine.checks.get("canary", {}).get("least_cosine")
        reason = str(found.get("reason", ""))
        if cosine is not None and cosine < LEAST_COSINE:
            reason = f"two replays of the same records differ: the least cosine is {cosine:.6f}"
        self.models.note(replace(mine, stage="refused" if reason else "ready", checks=checks, reason=reason))
        log.info("checked", version=mine.version, refused=reason or None)
