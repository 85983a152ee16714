"""The archive as a data set: its events in order of arrival, and its items as they were last put."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from service.core.log_records import EVENT, ITEM, SWITCH, Columns, LogRecords, readable
from service.core.types import ItemChange
from service.errors import ConfigurationError
from service.ports import EventArchive

_CHUNK = 100_000
_INTERACTIONS = pa.schema(
    [
        ("user_id", pa.large_string()),
        ("item_id", pa.large_string()),
        ("timestamp", pa.int64()),
        ("event_type", pa.large_string()),
        ("value", pa.float32()),
    ]
)
_ITEMS = pa.schema(
    [
        ("item_id", pa.large_string()),
        *((name, pa.large_string()) for name in ("title", "category", "brand", "text")),
        ("price", pa.float64()),
        ("available_from", pa.int64()),
    ]
)


class Reading:
    """What is known after the records read so far: items by id, and the users who switched personalising off."""

    def __init__(self) -> None:
        self.items: dict[str, ItemChange] = {}
        self._off: set[bytes] = set()

    def interactions(self, records: LogRecords) -> pa.Table:
        """The events among these records, but for those of users who were switched off at that time."""
        columns = Columns(records.take(readable(records)))
        places = []
        for place, (kind, user) in enumerate(zip(columns.kind.tolist(), columns.user, strict=True)):
            if kind == EVENT and user not in self._off:
                places.append(place)
            elif kind == SWITCH:
                (self._off.discard if columns.value[place] else self._off.add)(user)
            elif kind == ITEM:
                change = columns.item_change(place)
                self.items[change.item_id] = change
        values = (
            [columns.user[place] for place in places],
            [columns.item[place] for place in places],
            columns.records.timestamp[places],
            [columns.type[place] for place in places],
            columns.value[places],
        )
        arrays = [pa.array(column, field.type) for column, field in zip(values, _INTERACTIONS, strict=True)]
        return pa.Table.from_arrays(arrays, schema=_INTERACTIONS)


def write(archive: EventArchive, out: Path, advance: Callable[[int], object]) -> dict[str, int]:
    """Writes interactions.parquet and, if there are items, items.parquet; the numbers of their rows.

    advance: told how many records were read. Raises ConfigurationError if `out` holds such files already.
    """
    targets = interactions, items = out / "interactions.parquet", out / "items.parquet"
    if there := [str(path) for path in targets if path.exists()]:
        raise ConfigurationError(f"{there[0]} exists: name another folder")
    out.mkdir(parents=True, exist_ok=True)
    reading, events = Reading(), 0
    with parquet.ParquetWriter(interactions, _INTERACTIONS) as file:
        for records in _records(archive):
            table = reading.interactions(records)
            file.write_table(table)
            events += table.num_rows
            advance(len(records))
    if reading.items:
        parquet.write_table(pa.Table.from_pylist([_row(item) for item in reading.items.values()], _ITEMS), items)
    return {"events": events, "items": len(reading.items)}


def _records(archive: EventArchive) -> Iterator[LogRecords]:
    after = 0
    while len(records := archive.read(after, _CHUNK)):
        yield records
        after = int(records.offset[-1])


def _row(change: ItemChange) -> dict[str, Any]:
    document = json.loads(change.document)
    known = {name: document.get(name) for name in _ITEMS.names}
    return known | {"item_id": change.item_id, "available_from": change.available_from}
