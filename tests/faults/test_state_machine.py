"""Any sequence of posts, repeats, late events, catalogue changes, erasures, off switches, lost replies, stalled
writers, restarts, power cuts and rebuilds leaves the state that the same records make one by one, in arrays, and every
replica sees it.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from service.adapters.in_memory import InMemoryEventLog
from service.adapters.in_memory_archive import InMemoryLogKeeper, InMemorySnapshots
from service.adapters.in_memory_erasures import InMemoryErasures
from service.adapters.in_memory_profiles import InMemoryProfileEraser, InMemoryProfiles
from service.core.log_records import Columns, readable
from service.core.types import Erase, Event, Switch
from service.event_path import Erasing, accept_marker, tidy
from tests.faults.machine import USERS, EventPathMachine

PERSONAL = (Event, Erase, Switch)


class EventPath(EventPathMachine):
    """With what people may ask for, and the keeper that sees to it."""

    @rule(user=st.sampled_from(USERS), on=st.booleans())
    def switch(self, user: str, on: bool) -> None:
        marker = Switch(user, on)
        self.log.append([accept_marker(marker)])
        self.told.append(marker)

    @rule(user=st.sampled_from(USERS))
    def erase(self, user: str) -> None:
        marker = Erase(user)
        asyncio.run(InMemoryEventLog(self.log).erase(f"erasure {len(self.told)}", accept_marker(marker)))
        self.told.append(marker)

    @rule()
    def keep(self) -> None:
        """The keeper finishes the erasures whose markers the state has passed; its files are written anew before."""
        ready = {erasure.offset for erasure in self.log.pending() if erasure.offset <= self.state.position.offset}
        tidy(self.generations, "keeper", grace_seconds=0.0)
        self.sync()
        erasing = self._erasing()
        erasing.turn()
        assert ready.isdisjoint(erasure.offset for erasure in self.log.pending())
        for offset in ready:
            self._sweep(offset)

    def _erasing(self) -> Erasing:
        files = (InMemorySnapshots(), InMemorySnapshots(), InMemoryProfileEraser(InMemoryProfiles()))
        erasing = Erasing(self.source, self.generations, InMemoryErasures(self.log), None, *files)
        erasing.resume(InMemoryLogKeeper(self.log).acquire("keeper", 0))
        return erasing

    def _sweep(self, offset: int) -> None:
        """Whatever the user of that marker did up to it."""
        marker = self.told[offset - 1]
        assert isinstance(marker, Erase)
        for at, one in enumerate(self.told[:offset], 1):
            if isinstance(one, PERSONAL) and one.user_id == marker.user_id:
                self.swept.add(at)

    @rule()
    def read_everything(self) -> None:
        """The log holds of everybody what was not swept, and nothing of what was."""
        records = self.source.read(0, len(self.told), 0)
        columns = Columns(records.take(readable(records)))
        found = {
            (offset, user.decode())
            for offset, user in zip(columns.records.offset.tolist(), columns.user, strict=True)
            if user
        }
        assert found == {
            (at, one.user_id)
            for at, one in enumerate(self.told, 1)
            if isinstance(one, PERSONAL) and at not in self.swept
        }


PROFILE = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
EventPath.TestCase.settings = settings(PROFILE, max_examples=20, stateful_step_count=30)
TestEventPath = EventPath.TestCase


@pytest.mark.long
def test_ten_minutes_of_it_find_nothing() -> None:
    until = time.monotonic() + 600
    while time.monotonic() < until:
        run_state_machine_as_test(EventPath, settings=settings(PROFILE, max_examples=100, stateful_step_count=60))
