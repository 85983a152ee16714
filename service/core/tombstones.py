"""Erasure in records of the log: what an erased user left becomes nothing, at the same offset and time."""

from __future__ import annotations

from collections.abc import Mapping

from service.core.log_records import Columns, LogRecords, pack_nothing, readable


def tombstones(records: LogRecords, erased: Mapping[bytes, int]) -> LogRecords:
    """`records`, with nothing in place of those of erased users; `records` itself if there are none.

    erased: by user id (UTF-8) the offset of the erase marker, which goes, too. What cannot be read stays.
    """
    payloads = records.payloads()
    changed = _places(records, erased)
    for place in changed:
        payloads[place] = pack_nothing()
    return LogRecords.of(records.offset.tolist(), records.timestamp.tolist(), payloads) if changed else records


def _places(records: LogRecords, erased: Mapping[bytes, int]) -> list[int]:
    """Places of the records of erased users. Items and tombstones have no user: their id is empty."""
    known = readable(records)
    users = Columns(records.take(known)).user
    offsets = records.offset[known].tolist()
    rows = zip(known.tolist(), users, offsets, strict=True)
    return [place for place, user, offset in rows if user and offset <= erased.get(user, 0)]
