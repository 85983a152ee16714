"""Bytes of log payloads and feed entries. State records are their own bytes (`model.process.records`)."""

from __future__ import annotations

import json
import struct

import numpy as np

from service.core.types import Event, FeedEntry, ItemChange, LogEntry, Position

_EVENT = struct.Struct("<cBBHHH")  # kind, version, lengths of type, user, item, event id; then value
_VALUE = struct.Struct("<f")
_ITEM = struct.Struct("<cBHHqI")  # kind, version, lengths of id, embedder, available_from, length of document
_FEED = struct.Struct("<BqqqIIII")
_VERSION = 1
_FROM_FIRST_EVENT = 2**62


class UnreadableRecord(ValueError):
    """Bytes in the log or the feed that this version cannot read. Names the kind and the version it met."""


def pack_event(event: Event) -> bytes:
    """Everything but the timestamp, which the log entry carries."""
    kind, user, item, event_id = (s.encode() for s in (event.type, event.user_id, event.item_id, event.event_id))
    head = _EVENT.pack(b"E", _VERSION, len(kind), len(user), len(item), len(event_id))
    return b"".join((head, _VALUE.pack(event.value), kind, user, item, event_id, event.extra))


def pack_item(change: ItemChange) -> bytes:
    item, embedder = change.item_id.encode(), change.embedder.encode()
    available = _FROM_FIRST_EVENT if change.available_from is None else change.available_from
    head = _ITEM.pack(b"I", _VERSION, len(item), len(embedder), available, len(change.document))
    return b"".join((head, item, embedder, change.document, change.vector))


def unpack(entry: LogEntry) -> Event | ItemChange:
    """Raises UnreadableRecord for a kind or version that this release does not know, or a truncated payload."""
    payload = entry.payload
    if payload[1:2] != bytes([_VERSION]) or payload[:1] not in {b"E", b"I"}:
        raise UnreadableRecord(f"log record at offset {entry.offset}: kind {payload[:1]!r}, version {payload[1:2]!r}")
    try:
        return _unpack_event(payload, entry.timestamp) if payload[:1] == b"E" else _unpack_item(payload)
    except (struct.error, UnicodeDecodeError) as exc:
        raise UnreadableRecord(f"log record at offset {entry.offset}: {exc}") from exc


def _unpack_event(payload: bytes, timestamp: int) -> Event:
    _, _, kind, user, item, event_id = _EVENT.unpack_from(payload)
    at = _EVENT.size
    (value,) = _VALUE.unpack_from(payload, at)
    at += _VALUE.size
    parts = []
    for length in (kind, user, item, event_id):
        parts.append(payload[at : at + length].decode())
        at += length
    return Event(parts[3], parts[1], parts[2], parts[0], timestamp, value, payload[at:])


def _unpack_item(payload: bytes) -> ItemChange:
    _, _, item, embedder, available, document = _ITEM.unpack_from(payload)
    at = _ITEM.size
    item_id = payload[at : at + item].decode()
    at += item
    made_by = payload[at : at + embedder].decode()
    at += embedder
    vector = payload[at + document :]
    available_from = None if available == _FROM_FIRST_EVENT else available
    return ItemChange(item_id, payload[at : at + document], made_by, vector, available_from)


def pack_feed(entry: FeedEntry) -> bytes:
    """One feed entry; `log_id` and `bundle` of the position do not travel."""
    names = json.dumps(entry.new_items).encode() if entry.new_items else b""
    position = entry.position
    head = _FEED.pack(
        _VERSION,
        position.offset,
        position.log_time,
        position.tick,
        position.item_count,
        len(names),
        len(entry.counter_index),
        len(entry.vector_index),
    )
    arrays = (entry.counter_index, entry.counters, entry.vector_index, entry.vectors)
    return b"".join((head, names, *(np.ascontiguousarray(a).tobytes() for a in arrays)))


def unpack_feed(data: bytes, counters: np.dtype[np.void], dim: int) -> FeedEntry:
    """counters: dtype of the counter records; dim: d."""
    version, offset, log_time, tick, item_count, names, moved, shown = _FEED.unpack_from(data)
    if version != _VERSION:
        raise UnreadableRecord(f"feed entry version {version}, this release reads {_VERSION}")
    at = _FEED.size + names
    ids = tuple(json.loads(data[_FEED.size : at])) if names else ()
    counter_index = np.frombuffer(data, np.uint32, moved, at)
    at += counter_index.nbytes
    counter_rows = np.frombuffer(data, counters, moved, at)
    at += counter_rows.nbytes
    vector_index = np.frombuffer(data, np.uint32, shown, at)
    vectors = np.frombuffer(data, np.float32, shown * dim, at + vector_index.nbytes).reshape(shown, dim)
    position = Position(offset, log_time, tick, item_count)
    return FeedEntry(position, ids, counter_index, counter_rows, vector_index, vectors)
