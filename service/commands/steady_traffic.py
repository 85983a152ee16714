"""Events and lists at a steady rate while something is done to the service, each answer noted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event as Flag
from threading import Thread

import numpy as np

from service.client import Client, ClientError
from service.commands.zipf import Zipf, encode

EVENTS_A_SECOND, LISTS_A_SECOND = 200, 50
_TOGETHER = 20
"""Events of one POST."""


@dataclass
class Traffic:
    """lists: (moment, seconds it took, version of the model) of each; accepted: events by user."""

    client: Client
    zipf: Zipf
    users: Sequence[str]
    lists: list[tuple[float, float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    accepted: Counter[str] = field(default_factory=Counter)
    stop: Flag = field(default_factory=Flag)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """For the time of the block."""
        threads = [Thread(target=work, daemon=True) for work in (self._post, self._read)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    def _post(self) -> None:
        for _ in self._beats(EVENTS_A_SECOND / _TOGETHER):
            events = self.zipf.events(_TOGETHER)
            try:
                answer = self.client.post_events(encode(events))
            except ClientError as exc:
                self.failures.append(f"event: {exc}")
                continue
            if answer.accepted != len(events):
                self.failures.append(f"event: {answer.errors[:1]}")
            self.accepted.update(event.user_id for event in events)

    def _read(self) -> None:
        for beat in self._beats(LISTS_A_SECOND):
            began = time.monotonic()
            try:
                found = self.client.recommendations(self.users[beat % len(self.users)])
            except ClientError as exc:
                self.failures.append(f"list: {exc}")
                continue
            if found.strategy != "model":
                self.failures.append(f"list: {found.strategy}")
            self.lists.append((began, time.monotonic() - began, str(found.model.version)))

    def _beats(self, rate: float) -> Iterator[int]:
        beat, began = 0, time.monotonic()
        while not self.stop.is_set():
            yield beat
            beat += 1
            time.sleep(max(0.0, began + beat / rate - time.monotonic()))

    def p99(self, *spans: tuple[float, float]) -> float | None:
        """Milliseconds, of the lists asked for in these spans of time."""
        took = [seconds for began, seconds, _ in self.lists if any(start <= began < stop for start, stop in spans)]
        return round(1_000 * float(np.quantile(took, 0.99)), 1) if took else None
