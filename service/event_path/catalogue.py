"""What the writer knows of all items: their indexes by id, and the stable hash that orders neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.process.batch import stable_hash
from service.errors import StateMismatch
from service.ports import StateRecords

CHUNK = 5_000
"""Ids read at once when all are read."""


class Catalogue:
    """Items by id (UTF-8) and index. Indexes are given in order of `add` and never used again."""

    def __init__(self) -> None:
        self.index: dict[bytes, int] = {}
        self._hash = np.empty(1_024, np.uint64)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def hash(self) -> NDArray[np.uint64]:
        """(N,) stable hashes by index."""
        return self._hash[: len(self.index)]

    def add(self, item_ids: Sequence[str]) -> None:
        """Gives the next indexes to items that have none."""
        start, stop = len(self), len(self) + len(item_ids)
        if stop > len(self._hash):
            grown = np.empty(2 * stop, np.uint64)
            grown[:start] = self._hash[:start]
            self._hash = grown
        self._hash[start:stop] = stable_hash(item_ids)
        self.index.update({item_id.encode(): start + at for at, item_id in enumerate(item_ids)})

    def copy(self) -> Catalogue:
        made = Catalogue()
        made.index, made._hash = dict(self.index), self._hash.copy()
        return made

    def follow(self, store: StateRecords, count: int) -> None:
        """Becomes the first `count` items of `store`; reads only those that it does not hold yet.

        Raises StateMismatch if the store does not list so many.
        """
        self.forget_after(count)
        if (held := len(self)) and store.item_ids(held - 1, 1) != [next(reversed(self.index)).decode()]:
            self.forget_after(0)  # the items of another generation, or of one that was made anew
        while (held := len(self)) < count:
            if not (found := store.item_ids(held, min(CHUNK, count - held))):
                raise StateMismatch(f"the state counts {count} items and lists {held}: rebuild it")
            self.add(found)

    def forget_after(self, count: int) -> None:
        """Takes back the indexes from `count` on: they were given in a step that was not committed."""
        for item_id in list(self.index)[count:]:
            del self.index[item_id]
