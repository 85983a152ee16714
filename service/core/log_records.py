"""Records of the log: how one is packed, and many of them side by side, as a read of the log or the archive gives them.

A payload is a head of fixed size, then five texts or bytes whose lengths stand in the head. All kinds share it, so that
thousands of records are read with a few array operations.

    kind      type      user  item  event id  extra                                                value
    event     its type  yes   yes   yes       JSON of session_id, request_id, properties           yes
    item      embedder        yes             available_from, length of document, document, vector
    erase               yes
    switch              yes                                                                        1 on, 0 off
    nothing   (an erased record: its offset stays)
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.process.records import Int
from service.core.types import Erase, Event, ItemChange, Switch

EVENT, ITEM, ERASE, SWITCH, NOTHING = b"EIXSN"
"""Kinds of records, as the first byte of a payload."""
PARTS = ("type", "user", "item", "event_id", "extra")

_HEAD = struct.Struct("<BBBHHHIf")
_HEADS = np.dtype(
    [
        ("kind", "u1"),
        ("version", "u1"),
        ("type", "u1"),
        ("user", "<u2"),
        ("item", "<u2"),
        ("event_id", "<u2"),
        ("extra", "<u4"),
        ("value", "<f4"),
    ]
)
_VERSION = 2
HEAD_SIZE = _HEAD.size
"""Bytes of a payload before its parts."""
_CATALOGUE = struct.Struct("<qI")  # available_from, length of document
_FROM_FIRST_EVENT = 2**62


class UnreadableRecord(ValueError):
    """Bytes in the log, the feed or the state that this version cannot read. Names what it met."""


@dataclass(frozen=True)
class LogRecords:
    """n records in the order of the log. offset, timestamp [s], ends: (n,); ends: where each payload ends in `data`."""

    offset: Int
    timestamp: Int
    ends: Int
    data: bytes

    def __len__(self) -> int:
        return len(self.offset)

    @classmethod
    def of(cls, offsets: Sequence[int], timestamps: Sequence[int], payloads: Sequence[bytes]) -> Self:
        ends = np.cumsum([len(payload) for payload in payloads], dtype=np.int64)
        return cls(np.array(offsets, np.int64), np.array(timestamps, np.int64), ends, b"".join(payloads))

    @classmethod
    def join(cls, some: Sequence[LogRecords]) -> LogRecords:
        """All records of `some`, one after the other."""
        if len(some) == 1:
            return some[0]
        starts = np.cumsum([0, *(len(records.data) for records in some)])
        ends = [records.ends + start for records, start in zip(some, starts[:-1], strict=True)]
        columns = ([r.offset for r in some], [r.timestamp for r in some], ends)
        joined = [np.concatenate(column) if column else np.empty(0, np.int64) for column in columns]
        return cls(joined[0], joined[1], joined[2], b"".join(records.data for records in some))

    def part(self, start: int, stop: int) -> LogRecords:
        """Records [start, stop), as places among these."""
        first = int(self.ends[start - 1]) if start else 0
        last = int(self.ends[stop - 1]) if stop else 0
        return LogRecords(
            self.offset[start:stop], self.timestamp[start:stop], self.ends[start:stop] - first, self.data[first:last]
        )

    def after(self, offset: int) -> LogRecords:
        """Those with a higher offset."""
        return self.part(int(np.searchsorted(self.offset, offset, side="right")), len(self))

    def without(self, offsets: Collection[int]) -> LogRecords:
        """Those whose offset is not among `offsets`."""
        return self.take(np.flatnonzero(~np.isin(self.offset, list(offsets))))

    def take(self, places: Int) -> LogRecords:
        """Those at `places`, which ascend."""
        if len(places) == len(self):
            return self
        payloads = self.payloads()
        left = [payloads[place] for place in places.tolist()]
        return LogRecords.of(self.offset[places].tolist(), self.timestamp[places].tolist(), left)

    def payloads(self) -> list[bytes]:
        return [self.data[start:end] for start, end in pairwise([0, *self.ends.tolist()])]


class Columns:
    """What stands in some records, by column. Raises UnreadableRecord naming the first that cannot be read."""

    def __init__(self, records: LogRecords) -> None:
        self.records = records
        self._starts = np.concatenate([[0], records.ends]).astype(np.int64)[:-1]
        lengths = records.ends - self._starts
        _refuse(lengths < _HEAD.size, records, "is too short")
        data = np.frombuffer(records.data, np.uint8)
        heads = data[self._starts[:, None] + np.arange(_HEAD.size)].view(_HEADS)[:, 0]
        self._heads: NDArray[np.void] = heads
        parts = np.stack([heads[name].astype(np.int64) for name in PARTS], axis=1)
        known = np.isin(heads["kind"], [EVENT, ITEM, ERASE, SWITCH, NOTHING]) & (heads["version"] == _VERSION)
        _refuse(~known, records, "is of a kind or version that this release does not know")
        _refuse(parts.sum(axis=1) != lengths - _HEAD.size, records, "has another length than its head says")
        bounds = np.cumsum(parts, axis=1) + (self._starts + _HEAD.size)[:, None]  # (n, 5) ends of the parts
        self._bounds = np.concatenate([(self._starts + _HEAD.size)[:, None], bounds], axis=1)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def kind(self) -> NDArray[np.uint8]:
        """(n,) kinds."""
        kinds: NDArray[np.uint8] = self._heads["kind"]
        return kinds

    @property
    def value(self) -> NDArray[np.float32]:
        """(n,) values."""
        values: NDArray[np.float32] = self._heads["value"]
        return values

    @cached_property
    def type(self) -> list[bytes]:
        return self._slices("type")

    @cached_property
    def user(self) -> list[bytes]:
        return self._slices("user")

    @cached_property
    def item(self) -> list[bytes]:
        return self._slices("item")

    @cached_property
    def event_id(self) -> list[bytes]:
        return self._slices("event_id")

    @cached_property
    def extra(self) -> list[bytes]:
        return self._slices("extra")

    def _slices(self, part: str) -> list[bytes]:
        at, data = PARTS.index(part), self.records.data
        starts, ends = self._bounds[:, at].tolist(), self._bounds[:, at + 1].tolist()
        return [data[start:end] for start, end in zip(starts, ends, strict=True)]

    def item_change(self, place: int) -> ItemChange:
        """The catalogue change at `place`, whose kind is ITEM."""
        extra = self.extra[place]
        try:
            available, length = _CATALOGUE.unpack_from(extra)
            item_id, embedder = self.item[place].decode(), self.type[place].decode()
        except (struct.error, UnicodeDecodeError) as exc:
            raise UnreadableRecord(f"log record at offset {self.records.offset[place]}: {exc}") from exc
        document, vector = extra[_CATALOGUE.size :][:length], extra[_CATALOGUE.size + length :]
        return ItemChange(item_id, document, embedder, vector, None if available == _FROM_FIRST_EVENT else available)

    def event(self, place: int) -> Event:
        """The event at `place`, whose kind is EVENT."""
        event_id, user, item, kind = (part[place].decode() for part in (self.event_id, self.user, self.item, self.type))
        timestamp = int(self.records.timestamp[place])
        return Event(event_id, user, item, kind, timestamp, float(self.value[place]), self.extra[place])


def pack_event(event: Event) -> bytes:
    """Everything but the timestamp, which the log gives or keeps beside the payload."""
    return _pack(EVENT, event.value, event.type, event.user_id, event.item_id, event.event_id, event.extra)


def pack_item(change: ItemChange) -> bytes:
    available = _FROM_FIRST_EVENT if change.available_from is None else change.available_from
    extra = _CATALOGUE.pack(available, len(change.document)) + change.document + change.vector
    return _pack(ITEM, 0.0, change.embedder, "", change.item_id, "", extra)


def pack_erase(erase: Erase) -> bytes:
    return _pack(ERASE, 0.0, "", erase.user_id, "", "", b"")


def pack_switch(switch: Switch) -> bytes:
    return _pack(SWITCH, float(switch.on), "", switch.user_id, "", "", b"")


def pack_nothing() -> bytes:
    """What stands in place of an erased record."""
    return _pack(NOTHING, 0.0, "", "", "", "", b"")


def pack_unreadable(payload: bytes) -> bytes:
    """A payload that no release may apply, inside one that can be read."""
    return _pack(NOTHING, 0.0, "", "", "", "", payload)


def pack_heads(kind: NDArray[np.uint8], value: NDArray[np.float32], lengths: Int) -> bytes:
    """What stands before the parts of n records, HEAD_SIZE bytes each. lengths: (n, 5), of PARTS."""
    heads = np.zeros(len(kind), _HEADS)
    heads["kind"], heads["version"], heads["value"] = kind, _VERSION, value
    for part, name in enumerate(PARTS):
        heads[name] = lengths[:, part]
    return heads.tobytes()


def _pack(kind: int, value: float, type_: str, user: str, item: str, event_id: str, extra: bytes) -> bytes:
    texts = (type_.encode(), user.encode(), item.encode(), event_id.encode(), extra)
    return _HEAD.pack(kind, _VERSION, *map(len, texts), value) + b"".join(texts)


def readable(records: LogRecords) -> Int:
    """Places of the records that `Columns` can read."""
    try:
        Columns(records)
    except UnreadableRecord:
        if len(records) == 1:
            return np.empty(0, np.int64)
        half = len(records) // 2
        return np.concatenate([readable(records.part(0, half)), half + readable(records.part(half, len(records)))])
    return np.arange(len(records))


def _refuse(bad: NDArray[np.bool_], records: LogRecords, why: str) -> None:
    places = np.flatnonzero(bad)
    if len(places):
        raise UnreadableRecord(f"the log record at offset {records.offset[places[0]]} {why}")
