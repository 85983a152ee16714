"""What was tracked and is not in the log yet: bounded, in order, encoded. No I/O, no waiting.

Events leave it when the service has answered for them. One whose answer was lost is sent again under the `event_id`
that it got here, so it counts once.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from service.client.answers import Accepted
from service.client.errors import Busy, ClientError, Refused
from service.client.patience import jittered

BATCH_BYTES = 1_000_000
"""Of a POST at most, but for an event that is larger by itself."""
_PAUSES = (0.5, 30.0)
"""Seconds before the first try after an error, and before later ones at most, where the service does not say."""


@dataclass(frozen=True)
class Tracking:
    """How `track` buffers. limit: events that may wait; interval: seconds for which they are collected; batch: events
    in one POST at most; closing: seconds that `close` gives to what still waits."""

    limit: int = 10_000
    interval: float = 0.2
    batch: int = 500
    closing: float = 5.0


@dataclass
class Tracked:
    """What became of tracked events so far.

    accepted: are in the log; duplicates: were there before; rejected: the service refused them; dropped: found no room,
    or were not answered for when the client was closed; waiting: all others. reason: why the last one was refused or
    dropped, or what the sending waits for.
    """

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    dropped: int = 0
    waiting: int = 0
    reason: str = ""


class Buffer:
    """Not for many threads at once: who shares it, locks it."""

    def __init__(self, tracking: Tracking) -> None:
        self.tracking = tracking
        self._lines: deque[bytes] = deque()
        self._tally = Tracked()
        self._pause = 0.0
        self._trouble = ""

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def full(self) -> bool:
        """True if a POST of the largest size can be made."""
        return len(self._lines) >= self.tracking.batch

    @property
    def tally(self) -> Tracked:
        """A copy."""
        return replace(self._tally, waiting=len(self._lines), reason=self._trouble or self._tally.reason)

    def put(self, event: Mapping[str, Any]) -> bool:
        """Takes an event and gives it an `event_id` if it has none. False, and counted as dropped, if there is no room.

        Raises TypeError or ValueError for what is no JSON.
        """
        line = json.dumps({"event_id": uuid4().hex, **event}, separators=(",", ":"), ensure_ascii=False).encode()
        if len(self._lines) >= self.tracking.limit:
            self._tally.dropped += 1
            self._tally.reason = self._trouble or "events come in faster than the service takes them"
            return False
        self._lines.append(line)
        return True

    def batch(self) -> list[bytes]:
        """The oldest events, as many as go into one POST. They stay here until they are answered for."""
        lines: list[bytes] = []
        size = 0
        for line in self._lines:
            size += len(line)
            if lines and (len(lines) == self.tracking.batch or size > BATCH_BYTES):
                break
            lines.append(line)
        return lines

    def answered(self, batch: list[bytes], answer: Accepted) -> None:
        """The service has taken the batch, apart from what was wrong with single events."""
        self._leave(batch)
        self._tally.accepted += answer.accepted
        self._tally.duplicates += answer.duplicates
        self._tally.rejected += answer.rejected
        self._trouble = ""
        if answer.errors:
            self._tally.reason = str(answer.errors[-1].get("message", ""))

    def failed(self, batch: list[bytes], exc: ClientError) -> float:
        """Seconds to wait before the next POST. A batch that no repetition can help leaves as rejected."""
        if isinstance(exc, Refused):
            self._leave(batch)
            self._tally.rejected += len(batch)
            self._trouble, self._tally.reason = "", str(exc)
            return 0.0
        self._trouble = str(exc)
        self._pause = min(_PAUSES[1], max(_PAUSES[0], 2 * self._pause))
        wait = exc.retry_after if isinstance(exc, Busy) else None
        return jittered(self._pause if wait is None else wait)

    def drop(self) -> None:
        """Gives up what waits."""
        if self._lines:
            self._tally.dropped += len(self._lines)
            self._tally.reason = self._trouble or "no answer came before the client was closed"
        self._trouble = ""
        self._lines.clear()

    def _leave(self, batch: list[bytes]) -> None:
        self._pause = 0.0
        for _ in batch:
            self._lines.popleft()


def body_of(batch: list[bytes]) -> bytes:
    """A POST's body, as `encode_events` makes it."""
    return b"[" + b",".join(batch) + b"]"
