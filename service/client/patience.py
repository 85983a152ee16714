"""How the clients go on asking while the service takes nothing more for now."""

from __future__ import annotations

import random
import time

from service.client.errors import Busy, Overloaded

PAUSE = 1.0
"""Seconds to wait where the service does not say how long."""
_TOO_MANY = 429


class Patience:
    """Of one request: up to `seconds` in all, in pauses as long as the service asks for, and a little longer at random,
    so that many callers do not come back at once."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def pause(self, refusal: Busy) -> float:
        """Seconds to wait before asking again. Raises `refusal` if that would be too long."""
        wait = jittered(PAUSE if refusal.retry_after is None else refusal.retry_after)
        if time.monotonic() + wait > self._end:
            raise refusal
        return wait


def jittered(seconds: float) -> float:
    return seconds * random.uniform(1.0, 1.25)  # noqa: S311 - jitter, not a secret


def repeatable(method: str, refusal: Busy) -> bool:
    """True if nothing was taken of the request, or if it may be taken twice."""
    return isinstance(refusal, Overloaded) or refusal.status == _TOO_MANY or method != "POST"
