"""Erasure in records of the log: what an erased user left becomes nothing, at the same offset and time."""

from __future__ import annotations

from collections.abc import Mapping

from service.core.log_records import Columns, LogRecords, pack_nothing, readable


def tombstones(records: LogRecords, erased: Mapping[bytes, int]) -> tuple[LogRecords, int]:
    """`records` with nothing in place of those of erased users, and how many that were.

    erased: by user id (UTF-8) the offset of the erase marker, which goes, too. What cannot be read stays.
    """
    places = _places(records, erased)
    if not places:
        return records, 0
    payloads = records.payloads()
    for place in places:
        payloads[place] = pack_nothing()
    return LogRecords.of(records.offset.tolist(), records.timestamp.tolist(), payloads), len(places)


def _places(records: LogRecords, erased: Mapping[bytes, int]) -> list[int]:
    """Places of the records of erased users. Items and tombstones have no user: their id is empty."""
    known = readable(records)
    users = Columns(records.take(known)).user
    rows = zip(known.tolist(), users, records.offset[known].tolist(), strict=True)
    return [place for place, user, offset in rows if user and offset <= erased.get(user, 0)]
