"""Log records one by one, and digests, as the suites write them down."""

from __future__ import annotations

from typing import NamedTuple

from service.core.log_records import LogRecords


class LogEntry(NamedTuple):
    """One record. timestamp: unix seconds."""

    offset: int
    timestamp: int
    payload: bytes


def entries_of(records: LogRecords) -> list[LogEntry]:
    columns = (records.offset.tolist(), records.timestamp.tolist(), records.payloads())
    return [LogEntry(*row) for row in zip(*columns, strict=True)]


def digest(name: str) -> bytes:
    """16 bytes that begin with `name`."""
    return name.encode().ljust(16, b".")
