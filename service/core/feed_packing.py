"""Bytes of feed entries. State records are their own bytes (`model.process.records`)."""

from __future__ import annotations

import json
import struct

import numpy as np

from service.core.log_records import UnreadableRecord
from service.core.types import FeedEntry, Position

_FEED = struct.Struct("<BqqqIIIII")
_VERSION = 2


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
        len(entry.documents),
    )
    described = np.array([(index, len(document)) for index, document in entry.documents.items()], np.uint32)
    arrays = (entry.counter_index, entry.counters, entry.vector_index, entry.vectors, described)
    return b"".join(
        (
            head,
            names,
            *(np.ascontiguousarray(a).tobytes() for a in arrays),
            *entry.documents.values(),
            entry.trace.encode(),
        )
    )


def unpack_feed(data: bytes, counters: np.dtype[np.void], dim: int) -> FeedEntry:
    """counters: dtype of the counter records; dim: d."""
    version = data[0]
    if version != _VERSION:
        raise UnreadableRecord(f"feed entry version {version}, this release reads {_VERSION}")
    _, offset, log_time, tick, item_count, names, moved, shown, described = _FEED.unpack_from(data)
    at = _FEED.size + names
    ids = tuple(json.loads(data[_FEED.size : at])) if names else ()
    counter_index = np.frombuffer(data, np.uint32, moved, at)
    at += counter_index.nbytes
    counter_rows = np.frombuffer(data, counters, moved, at)
    at += counter_rows.nbytes
    vector_index = np.frombuffer(data, np.uint32, shown, at)
    vectors = np.frombuffer(data, np.float32, shown * dim, at + vector_index.nbytes).reshape(shown, dim)
    documents, end = _documents(data, at + vector_index.nbytes + vectors.nbytes, described)
    position = Position(offset, log_time, tick, item_count)
    return FeedEntry(position, ids, counter_index, counter_rows, vector_index, vectors, documents, data[end:].decode())


def _documents(data: bytes, at: int, count: int) -> tuple[dict[int, bytes], int]:
    """Documents by index, and where they end."""
    heads = np.frombuffer(data, np.uint32, 2 * count, at).reshape(count, 2)
    ends = at + heads.nbytes + np.cumsum(heads[:, 1], dtype=np.int64)
    spans = zip(heads.tolist(), ends.tolist(), strict=True)
    found = {index: data[end - length : end] for (index, length), end in spans}
    return found, int(ends[-1]) if count else at + heads.nbytes
