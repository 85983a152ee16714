"""The canary of a replay: the last records once more, from a copy of what the state held before them, cut otherwise.

What the log and the weights make is one thing only. If both replays do not agree, something else went into memory: a
graph that depends on its batch, a record that was lost, another writer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.process.records import Records
from service.core.blobs import unpack_items, unpack_users
from service.core.bundles import Bundle
from service.core.log_records import Columns, LogRecords, readable
from service.core.types import Commit, Position
from service.event_path.catalogue import Catalogue
from service.event_path.poison import apply_records
from service.event_path.writer import Writer
from service.ports import StateRecords

RECORDS = 1_000
"""Replayed twice."""
_CUT = 37
"""Records of one step of the second replay."""


class Canary:
    """Made when `store` stands at `position`, and nothing is on its way to it; `records` come next. items: of the
    store up to there."""

    def __init__(
        self,
        store: StateRecords,
        position: Position,
        records: LogRecords,
        items: Catalogue,
        bundle: Bundle,
    ) -> None:
        self._store = store
        self._model = bundle.model
        self._records = records
        self._copy = _Copy(store, position, Columns(records.take(readable(records))), items)
        self._writer = Writer(self._copy, bundle.model, epoch=0, items=items.copy(), texts=bundle.texts)

    @property
    def end(self) -> int:
        """The offset at which both replays can be compared."""
        return int(self._records.offset[-1])

    def cosine(self) -> float:
        """The least one of all memories that the records touched, once the store stands at `end`."""
        self._writer.resume()
        for start in range(0, len(self._records), _CUT):
            apply_records(self._writer, self._records.part(start, min(start + _CUT, len(self._records))))
        spec, users, items = self._model.spec, sorted(self._copy.written_users), sorted(self._copy.written_items)
        found = [
            (unpack_users(_there(store.users(users)), spec).rows, unpack_items(_there(store.items(items)), spec))
            for store in (self._store, self._copy)
        ]
        return min(_least_cosine(ours, theirs) for ours, theirs in zip(*found, strict=True))


class _Copy:
    """`StateRecords` over others: what the records touch was read before them, what is written stays in here."""

    def __init__(self, store: StateRecords, position: Position, columns: Columns, items: Catalogue) -> None:
        self._store = store
        self._position = position
        self._pending, self._skipped = store.pending(), store.skipped()
        users = sorted({user for user in columns.user if user})
        index = sorted({items.index[item] for item in columns.item if item in items.index})
        self._users = dict(zip(users, store.users(users), strict=True))
        self._items = dict(zip(index, store.items(index), strict=True))
        self.written_users: set[bytes] = set()
        self.written_items: set[int] = set()

    def position(self) -> Position:
        return self._position

    def skipped(self) -> dict[int, str]:
        return self._skipped

    def pending(self) -> NDArray[np.uint32]:
        return self._pending

    def users(self, user_ids: Sequence[bytes]) -> list[bytes | None]:
        return [self._users.get(user_id) for user_id in user_ids]

    def items(self, index: Sequence[int]) -> list[bytes | None]:
        """Those that no record touches are as the other store has them: only the feed asks for them."""
        others = [at for at in index if at not in self._items]
        found = self._items | dict(zip(others, self._store.items(others), strict=True))
        return [found[at] for at in index]

    def texts(self, index: Sequence[int]) -> list[bytes | None]:
        return self._store.texts(index)

    def item_ids(self, start: int, count: int) -> list[str]:
        return self._store.item_ids(start, min(count, max(0, self._position.item_count - start)))

    def commit(self, commit: Commit) -> None:
        self._position = commit.position
        self._users |= commit.users
        self._items |= commit.items
        self.written_users |= commit.users.keys()
        self.written_items |= commit.items.keys()
        for user_id in commit.deleted_users:
            self._users[user_id] = None
            self.written_users.discard(user_id)


def _there(blobs: Sequence[bytes | None]) -> list[bytes]:
    return [blob for blob in blobs if blob is not None]


def _least_cosine(ours: Records, theirs: Records) -> float:
    """Of memory and open sums; -1 if one replay knows somebody that the other does not."""
    if len(ours) != len(theirs):
        return -1.0
    left, right = (np.concatenate([rows["m"], rows["sum"]], axis=1).astype(np.float64) for rows in (ours, theirs))
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    alike = np.where(
        norms > 0, (left * right).sum(axis=1) / np.where(norms > 0, norms, 1.0), (left == right).all(axis=1)
    )
    return float(alike.min(initial=1.0))
