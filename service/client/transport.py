"""What both clients begin with, and say to httpx: timeouts, headers, and what an unreachable service is."""

from __future__ import annotations

import httpx

from service.client.buffer import Tracking
from service.client.errors import Unreachable

TIMEOUT = httpx.Timeout(connect=2.0, read=30.0, write=10.0, pool=10.0)
"""Seconds. Reading is long because `wait=applied` and large bulks may take that time."""
PATIENCE = 10.0
"""Seconds for which an overloaded service is asked again."""

TRACKING = Tracking()

EXPORT_TIMEOUT = httpx.Timeout(connect=2.0, read=600.0, write=10.0, pool=10.0)
"""The service looks through all of its log, and a user may have nothing in long parts of it."""


def unreachable(url: str, exc: httpx.HTTPError) -> Unreachable:
    reason = str(exc) or type(exc).__name__
    return Unreachable(f"no answer from {url} ({reason}): is it running? `peregrine doctor` looks")


def headers(api_key: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {api_key}"} if api_key else {}
