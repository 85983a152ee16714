"""The arrays that `apply` and `read` work on: some users with their pairs, some items, some events in log order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from model.process.records import PAIR, Float, Int, Records


@dataclass
class Users:
    """B users. rows: (B,) records; pairs: all their pair records, each user's sorted by item; starts: (B + 1,)."""

    rows: Records
    pairs: Records
    starts: Int

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def gather(cls, rows: Records, pairs: Sequence[Records]) -> Users:
        """Joins each user's own pair records (sorted by item)."""
        starts = np.zeros(len(pairs) + 1, dtype=np.int64)
        np.cumsum([len(p) for p in pairs], out=starts[1:])
        joined = np.concatenate(pairs) if len(pairs) else np.empty(0, dtype=PAIR)
        return cls(rows, joined, starts)

    def pairs_of(self, user: int) -> Records:
        return self.pairs[self.starts[user] : self.starts[user + 1]]

    def owner(self) -> Int:
        """(len(pairs),) the user that each pair record belongs to."""
        return np.repeat(np.arange(len(self.rows)), np.diff(self.starts))


@dataclass
class Items:
    """B items. rows: (B,) records; index: (B,) their number in the catalogue; hash: (B,) stable hash of their id."""

    rows: Records
    index: NDArray[np.uint32]
    hash: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass
class Events:
    """E events in log order. user, item: (E,) places in `Users` and `Items`; timestamp: seconds; type: codes."""

    user: Int
    item: Int
    timestamp: Int
    type: NDArray[np.uint8]
    value: Float
    offset: Int

    def __len__(self) -> int:
        return len(self.user)

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Events:
        return Events(
            self.user[which],
            self.item[which],
            self.timestamp[which],
            self.type[which],
            self.value[which],
            self.offset[which],
        )


def stable_hash(ids: Sequence[str]) -> NDArray[np.uint64]:
    """64-bit hash of each id, the same in every process and for ever: it orders neighbours of one timestamp."""
    digests = b"".join(blake2b(i.encode(), digest_size=8).digest() for i in ids)
    return np.frombuffer(digests, dtype="<u8")
