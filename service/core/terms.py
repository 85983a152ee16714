"""Which items bear which terms (a tag, an attribute's value): one flat array of hashes, and one of their owners.

Finding a term's items is one comparison over all terms of all items, 1 ms for two million of them; a term costs 12
bytes however rare it is. Hashes are Python's, 64 bits and salted by process.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from model.process.records import Int

_GONE = 0
"""In place of a hash: the term is no longer its owner's."""
_SMALLEST = 1_024


class Terms:
    """Terms by catalogue index."""

    def __init__(self) -> None:
        self._hash = np.zeros(_SMALLEST, np.int64)
        self._owner = np.zeros(_SMALLEST, np.uint32)
        self._used = 0
        self._gone = 0
        self._places: dict[int, tuple[int, int]] = {}  # by owner: where its terms start and end

    def put(self, index: int, terms: Collection[str]) -> None:
        """The item's terms from now on."""
        hashes = sorted({hash(term) or 1 for term in terms})
        start, stop = self._places.get(index, (0, 0))
        if self._hash[start:stop].tolist() == hashes:
            return
        self._hash[start:stop] = _GONE
        self._gone += stop - start
        self._reserve(len(hashes))
        start, stop = self._used, self._used + len(hashes)
        self._hash[start:stop], self._owner[start:stop] = hashes, index
        self._places[index] = (start, stop)
        self._used = stop

    def owners(self, term: str) -> Int:
        """Indexes of the items that bear `term`, each once."""
        found: NDArray[np.uint32] = self._owner[: self._used][self._hash[: self._used] == (hash(term) or 1)]
        return found.astype(np.int64)

    def _reserve(self, count: int) -> None:
        if self._used + count <= len(self._hash):
            return
        if 2 * self._gone > self._used:
            self._compact()
        size = max(2 * (self._used + count), _SMALLEST)
        for name in ("_hash", "_owner"):
            held = getattr(self, name)[: self._used]
            setattr(self, name, np.concatenate([held, np.zeros(size - len(held), held.dtype)]))

    def _compact(self) -> None:
        """Leaves out what is gone; an owner's terms still stand together."""
        left = np.flatnonzero(self._hash[: self._used] != _GONE)
        self._hash, self._owner = self._hash[left], self._owner[left]
        owners, starts, counts = np.unique(self._owner, return_index=True, return_counts=True)
        self._places = {
            owner: (start, start + count)
            for owner, start, count in zip(owners.tolist(), starts.tolist(), counts.tolist(), strict=True)
        }
        self._used, self._gone = len(left), 0
