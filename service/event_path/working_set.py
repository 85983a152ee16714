"""The records that a step works on: from the cache, or from the store; blank ones for what is new."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from model.process.batch import Users
from model.process.records import Int, Records, new_items, new_users
from model.process.temporal_model import TemporalModel
from service.core.blobs import unpack_items, unpack_users
from service.core.types import Commit
from service.errors import StateMismatch
from service.event_path.cache import RecordCache
from service.event_path.catalogue import Catalogue
from service.ports import StateRecords

CACHE_BYTES = 32_000_000
"""Of each of the four dictionaries of the cache."""


class WorkingSet:
    """items: the catalogue, which grows with new items; check: raises if the store is not where the writer left it."""

    def __init__(
        self,
        store: StateRecords,
        model: TemporalModel,
        items: Catalogue,
        check: Callable[[], None],
    ) -> None:
        self._store = store
        self._model = model
        self._spec = model.spec
        self._check = check
        self.items = items
        self._user_records = RecordCache[bytes](CACHE_BYTES)
        self._item_records = RecordCache[int](CACHE_BYTES)

    def follow(self, item_count: int) -> None:
        """Forgets all records, and the items that were not committed."""
        self._user_records.clear()
        self._item_records.clear()
        self.items.follow(self._store, item_count)

    def keep(self, commit: Commit) -> None:
        """Holds what a commit writes, which the store may not have yet."""
        self._user_records.put(commit.users)
        self._item_records.put(commit.items)

    def drop(self, user_ids: Sequence[bytes]) -> None:
        """These users' records are deleted."""
        self._user_records.drop(user_ids)

    def load_items(self, item_ids: Sequence[bytes]) -> tuple[Int, Records, tuple[str, ...]]:
        """(index, rows, ids of those that are new here); new ones get the next indexes in order."""
        known = len(self.items)
        new = [item_id.decode() for item_id in item_ids if item_id not in self.items.index]
        self.items.add(new)
        index = np.array([self.items.index[item_id] for item_id in item_ids], dtype=np.int64)
        rows = new_items(len(item_ids), self._spec, self._model.initial_item)
        rows[index < known] = self.read_items(index[index < known].tolist())
        if new:
            text = np.zeros((len(new), self._spec.text_dim), dtype=np.float32)
            rows["x"][index >= known] = self._model.static_items(text)
        return index, rows, tuple(new)

    def read_items(self, index: Sequence[int]) -> Records:
        """By catalogue index. Raises StateMismatch where there is no record, or what `check` raises."""
        blobs = self._item_records.get(index, self._store.items)
        if missing := [i for i, blob in zip(index, blobs, strict=True) if blob is None]:
            self._check()
            raise StateMismatch(f"items {missing[:5]} are registered but have no record: rebuild the state")
        return unpack_items([blob for blob in blobs if blob is not None], self._spec)

    def load_users(self, user_ids: Sequence[bytes]) -> Users:
        """By id (UTF-8); those that the store does not know are blank."""
        blobs = self._user_records.get(user_ids, self._store.users)
        fresh = new_users(1, self._spec, self._model.initial_user).tobytes()
        return unpack_users([fresh if blob is None else blob for blob in blobs], self._spec)
