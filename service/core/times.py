"""Timestamps of the API: RFC 3339 or unix seconds in, RFC 3339 out, int64 unix seconds inside."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from functools import lru_cache

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
LATEST = 4_102_444_800
"""2100-01-01T00:00:00Z; nothing later is a timestamp."""


class TimeError(ValueError):
    """What is wrong with a timestamp."""


def parse_time(value: object) -> int:
    """Unix seconds, floored. Raises TimeError, which says what is wrong, for anything but 1970 <= value < 2100."""
    if isinstance(value, str):
        seconds = _parse_text(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise TimeError("must be finite")
        seconds = math.floor(value)
    else:
        raise TimeError("must be RFC 3339 (2026-01-31T12:00:00Z) or unix seconds")
    if seconds < 0:
        raise TimeError("lies before 1970")
    if seconds >= LATEST:
        raise TimeError("lies after 2099" + (": are these milliseconds?" if seconds < 1000 * LATEST else ""))
    return seconds


def _parse_text(text: str) -> int:
    if not _RFC3339.fullmatch(text):
        raise TimeError("must be RFC 3339 with a time zone (2026-01-31T12:00:00Z) or unix seconds")
    try:
        return math.floor(datetime.fromisoformat(text.upper()).timestamp())
    except (ValueError, OverflowError) as exc:
        raise TimeError(f"is no valid time: {exc}") from exc


@lru_cache(maxsize=4_096)
def format_time(seconds: int) -> str:
    """RFC 3339 in UTC, to the second. Lists name the same moments again and again."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
