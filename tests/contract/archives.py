"""Records for archives, and what stands in one."""

from __future__ import annotations

from collections.abc import Callable

from service.core.log_records import LogRecords, pack_event
from service.core.types import Event
from service.ports import EventArchive

Open = Callable[[], EventArchive]
"""One more archive in the same place, as another process opens it."""
ROWS = 40
"""Of a full file."""


def event(n: int, user: str = "u") -> bytes:
    return pack_event(Event(f"e{n}", user, f"i{n % 7}", "purchase", None, n / 2, b'{"n":%d}' % n))


def records(first: int, last: int, user: str = "u") -> LogRecords:
    offsets = list(range(first, last + 1))
    return LogRecords.of(offsets, [1_000 + n for n in offsets], [event(n, user) for n in offsets])


def all_of(archive: EventArchive, count: int = 1_000) -> LogRecords:
    parts: list[LogRecords] = []
    while len(some := archive.read(int(parts[-1].offset[-1]) if parts else 0, count)):
        parts.append(some)
    return LogRecords.join(parts)


def claimed(open_archive: Open) -> EventArchive:
    archive = open_archive()
    archive.claim("log-1")
    return archive
