"""Records of the log as a Parquet file, column by column: what the files of the archive hold.

offset, timestamp                  int64; timestamp in unix seconds
kind                               event, item, erase, switch or nothing; null for what cannot be read
user_id, item_id, type, event_id   text, empty where the kind has none
value                              float32
extra                              as in `core.log_records`; the whole payload where kind is null
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from model.process.records import Int
from service.core.log_records import (
    ERASE,
    EVENT,
    HEAD_SIZE,
    ITEM,
    NOTHING,
    SWITCH,
    Columns,
    LogRecords,
    UnreadableRecord,
    pack_heads,
    pack_unreadable,
    readable,
)

KINDS = {EVENT: "event", ITEM: "item", ERASE: "erase", SWITCH: "switch", NOTHING: "nothing"}
SCHEMA = pa.schema(
    [
        ("offset", pa.int64()),
        ("timestamp", pa.int64()),
        ("kind", pa.string()),
        ("type", pa.large_string()),
        ("user_id", pa.large_string()),
        ("item_id", pa.large_string()),
        ("event_id", pa.large_string()),
        ("extra", pa.large_binary()),
        ("value", pa.float32()),
    ]
)
_NAMES = np.array([KINDS.get(kind) for kind in range(256)], object)  # by kind
_KINDS = np.array(list(KINDS), np.uint8)
_PARTS = ("type", "user_id", "item_id", "event_id", "extra")  # in the order of a payload


def to_parquet(records: LogRecords) -> bytes:
    """A Parquet file of these records."""
    try:
        table = _table(records, np.empty(0, np.int64))
    except (UnreadableRecord, pa.ArrowInvalid):
        table = _table(records, _unreadable(records))
    file = io.BytesIO()
    parquet.write_table(table, file, compression="zstd")
    return file.getvalue()


def from_parquet(content: bytes) -> LogRecords:
    """The records that `to_parquet` was given, byte by byte. Raises pyarrow.ArrowException for anything else."""
    table = parquet.read_table(io.BytesIO(content), schema=SCHEMA).combine_chunks()
    parts = [_bytes(table[name]) for name in _PARTS]
    payload = pc.if_else(table["kind"].is_null(), parts[-1], _joined(table, parts)).combine_chunks()
    sizes = pc.binary_length(payload).to_numpy().astype(np.int64)
    data = b"".join(payload.to_pylist())
    return LogRecords(table["offset"].to_numpy(), table["timestamp"].to_numpy(), np.cumsum(sizes), data)


def _joined(table: Any, parts: list[Any]) -> Any:
    """Payloads: head and parts, one after the other."""
    places = pc.index_in(table["kind"], pa.array(_NAMES[_KINDS])).fill_null(0).to_numpy()
    kinds = _KINDS[places]
    lengths = np.stack([pc.binary_length(part).to_numpy() for part in parts], axis=1)
    heads = pack_heads(kinds, table["value"].to_numpy(), lengths)
    head = pa.FixedSizeBinaryArray.from_buffers(pa.binary(HEAD_SIZE), len(kinds), [None, pa.py_buffer(heads)])
    return pc.binary_join_element_wise(_bytes(head), *parts, pa.scalar(b"", pa.large_binary()))


def _bytes(column: Any) -> Any:
    return pc.cast(
        pc.cast(column, pa.binary()) if pa.types.is_fixed_size_binary(column.type) else column, pa.large_binary()
    )


def _table(records: LogRecords, unreadable: Int) -> Any:
    columns = Columns(_wrapped(records, unreadable) if len(unreadable) else records)
    kinds = _NAMES[columns.kind]
    kinds[unreadable] = None
    values = (
        records.offset,
        records.timestamp,
        kinds,
        columns.type,
        columns.user,
        columns.item,
        columns.event_id,
        columns.extra,
        columns.value,
    )
    arrays = [pa.array(column, field.type) for column, field in zip(values, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _wrapped(records: LogRecords, unreadable: Int) -> LogRecords:
    payloads = records.payloads()
    for place in unreadable.tolist():
        payloads[place] = pack_unreadable(payloads[place])
    return LogRecords.of(records.offset.tolist(), records.timestamp.tolist(), payloads)


def _unreadable(records: LogRecords) -> Int:
    """Places of the records that have no columns: broken ones, and those whose texts are none."""
    known = readable(records)
    columns = Columns(records.take(known))
    texts = zip(columns.type, columns.user, columns.item, columns.event_id, strict=True)
    textual = np.array([_is_text(b"\0".join(parts)) for parts in texts], bool)
    return np.setdiff1d(np.arange(len(records)), known[textual])


def _is_text(some: bytes) -> bool:
    try:
        some.decode()
    except UnicodeDecodeError:
        return False
    return True
