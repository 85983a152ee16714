"""Posting in order, with an account of what became of it; asking again while the service is busy or restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from service.client import Accepted, Busy, Client, Unreachable, encode_events
from service.errors import PeregrineError

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that a request is repeated for, and that events may take to be applied, without any progress."""
_ERRORS_KEPT = 5


class NotApplied(PeregrineError):
    """Accepted events do not show: the worker is down, or does not keep up."""


@dataclass
class Tally:
    """What became of entries. errors: the first few, as the service told them."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)

    def add(self, answer: Accepted) -> None:
        self.accepted += answer.accepted
        self.duplicates += answer.duplicates
        self.rejected += answer.rejected
        self.errors += answer.errors[: max(0, _ERRORS_KEPT - len(self.errors))]


class Account:
    """What became of everything posted through `client`. offset: the log's, of the newest accepted entry."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.events = Tally()
        self.items = Tally()
        self.offset = 0

    @property
    def refused(self) -> str:
        """How many entries were refused and why the first was; "" when none was."""
        errors = self.items.errors + self.events.errors
        if not errors:
            return ""
        count, first = self.items.rejected + self.events.rejected, errors[0]
        return f"{count} entries were refused, the first for {first.get('field')}: {first.get('message')}"

    def post(self, events: Sequence[dict[str, Any]] | bytes) -> None:
        """Up to 1,000 events (or their `encode_events`). They carry event ids, so posting them again is safe."""
        self._note(self.events, patiently(lambda: self.client.post_events(events)))

    def put_items(self, items: Sequence[dict[str, Any]]) -> None:
        """Up to 1,000 items."""
        self._note(self.items, patiently(lambda: self.client.put_items(items)))

    def post_all(self, batches: Iterable[Sequence[dict[str, Any]]]) -> Iterator[int]:
        """Posts one batch after the other, in order, and yields each one's size; the next is encoded meanwhile."""
        with ThreadPoolExecutor(1) as encoder:
            waiting = None
            for batch in batches:
                following = len(batch), encoder.submit(encode_events, batch)
                if waiting:
                    yield self._post_encoded(*waiting)
                waiting = following
            if waiting:
                yield self._post_encoded(*waiting)

    def wait_until_applied(self, progress: Callable[[int], None] | None = None) -> None:
        """Returns when everything accepted shows in recommendations; `progress` is told the offset reached."""
        reached, since = -1, time.monotonic()
        while True:
            ready = patiently(self.client.ready)
            offset = int(ready.body.get("offset") or 0)
            if progress:
                progress(offset)
            if offset >= self.offset:
                return
            if offset > reached:
                reached, since = offset, time.monotonic()
            if time.monotonic() - since > PATIENCE:
                raise NotApplied(
                    f"the service stands at offset {offset} of {self.offset} and does not move: is the worker running? "
                    "`peregrine doctor` looks"
                )
            time.sleep(0.05)

    def _post_encoded(self, size: int, body: Any) -> int:
        self.post(body.result())
        return size

    def _note(self, tally: Tally, answer: Accepted) -> None:
        tally.add(answer)
        self.offset = max(self.offset, answer.offset)


def patiently(ask: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Asks again while the service is busy or away, then raises what it met last: after `seconds` at most, counted
    anew whenever fewer records wait to be applied than before, for then posting is only slowed down."""
    deadline = time.monotonic() + seconds
    pause, least = 0.1, float("inf")
    while True:
        try:
            return ask()
        except (Busy, Unreachable) as exc:
            wait = (exc.retry_after if isinstance(exc, Busy) else None) or pause
            if isinstance(exc, Busy) and exc.lag is not None and exc.lag < least:
                least, deadline = exc.lag, time.monotonic() + seconds
            if time.monotonic() + wait > deadline:
                raise
            time.sleep(wait)
            pause = min(2.0, 2 * pause)
