"""State records as blobs and back: a user is its record followed by its pairs, an item is its record.

The first byte is the version. A blob of another version, or of a length that no record of this spec has, raises
UnreadableRecord: state of another bundle must not be read by this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.process.batch import Users
from model.process.records import PAIR, SWITCHED_OFF, Records, layout
from model.spec import FORMAT, ModelSpec
from service.core.log_records import UnreadableRecord

_VERSION = bytes([FORMAT])


def pack_users(users: Users) -> list[bytes]:
    """One blob a user: record, then pairs sorted by item."""
    rows, pairs = users.rows.tobytes(), users.pairs.tobytes()
    width = users.rows.dtype.itemsize
    starts = (users.starts * PAIR.itemsize).tolist()
    return [rows[u * width : (u + 1) * width] + pairs[starts[u] : starts[u + 1]] for u in range(len(users))]


def unpack_users(blobs: Sequence[bytes], spec: ModelSpec) -> Users:
    """(B,) writable records and their joined pairs."""
    dtype = layout(spec).user
    width = dtype.itemsize
    for blob in blobs:
        if blob[:1] != _VERSION or len(blob) < width or (len(blob) - width) % PAIR.itemsize:
            raise UnreadableRecord(f"user blob of {len(blob)} bytes, version {blob[:1]!r}: not a record of this bundle")
    rows = np.frombuffer(bytearray().join(b[:width] for b in blobs), dtype=dtype)
    pairs = np.frombuffer(bytearray().join(b[width:] for b in blobs), dtype=PAIR)
    starts = np.zeros(len(blobs) + 1, dtype=np.int64)
    np.cumsum([(len(b) - width) // PAIR.itemsize for b in blobs], out=starts[1:])
    return Users(rows, pairs, starts)


def is_off(users: Users) -> bool:
    """Whether the first of `users` is switched off."""
    return bool(users.rows["flags"][0] & SWITCHED_OFF)


def pack_items(rows: Records) -> list[bytes]:
    data, width = rows.tobytes(), rows.dtype.itemsize
    return [data[i * width : (i + 1) * width] for i in range(len(rows))]


def unpack_items(blobs: Sequence[bytes], spec: ModelSpec) -> Records:
    """(B,) writable records."""
    dtype = layout(spec).item
    for blob in blobs:
        if blob[:1] != _VERSION or len(blob) != dtype.itemsize:
            raise UnreadableRecord(f"item blob of {len(blob)} bytes, version {blob[:1]!r}: not a record of this bundle")
    return np.frombuffer(bytearray().join(blobs), dtype=dtype)


def pack_text(embedder: str, vector: bytes) -> bytes:
    """A text vector as the state keeps it: embedder id, a zero byte, float32 bytes."""
    return embedder.encode() + b"\0" + vector


def unpack_text(data: bytes) -> tuple[str, bytes]:
    embedder, _, vector = data.partition(b"\0")
    return embedder.decode(), vector
