"""Erasure in records of the log: what an erased user left becomes nothing, at the same offset and time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

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


def event_ids(records: LogRecords, erased: Mapping[bytes, int]) -> list[tuple[int, bytes]]:
    """(offset, event id) of what `tombstones` takes away, as far as it has such an id."""
    places = _places(records, erased)
    ids = Columns(records.take(np.array(places, np.int64))).event_id if places else []
    return [(int(records.offset[place]), event_id) for place, event_id in zip(places, ids, strict=True) if event_id]


def _places(records: LogRecords, erased: Mapping[bytes, int]) -> list[int]:
    """Places of the records of erased users. Items and tombstones have no user: their id is empty."""
    known = readable(records)
    users = Columns(records.take(known)).user
    rows = zip(known.tolist(), users, records.offset[known].tolist(), strict=True)
    return [place for place, user, offset in rows if user and offset <= erased.get(user, 0)]
