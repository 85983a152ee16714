"""A stream of events in memory: codes instead of ids, ordered in time.

Knows nothing of files. Arrays have one entry an event, (E,); tables one entry an item, (N,).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

NEVER = 2**62  # unix seconds; an item whose `available_from` is unknown becomes available with its first event

BoolArray = NDArray[np.bool_]
Int8Array = NDArray[np.int8]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ItemTable:
    """What is known of each item beside its id; entry i belongs to item code i. None (NaN for prices) where unknown."""

    title: list[str | None]
    category: list[str | None]
    brand: list[str | None]
    text: list[str | None]
    price: FloatArray  # (N,)
    available_from: Int64Array  # (N,) unix seconds, NEVER when unknown

    @classmethod
    def empty(cls, n_items: int) -> "ItemTable":
        """A table of `n_items` items of which nothing is known."""
        return cls(
            title=[None] * n_items,
            category=[None] * n_items,
            brand=[None] * n_items,
            text=[None] * n_items,
            price=np.full(n_items, np.nan, dtype=np.float32),
            available_from=np.full(n_items, NEVER, dtype=np.int64),
        )

    def take(self, codes: Int64Array) -> "ItemTable":
        """The rows of these item codes, in this order."""
        return ItemTable(
            title=[self.title[code] for code in codes],
            category=[self.category[code] for code in codes],
            brand=[self.brand[code] for code in codes],
            text=[self.text[code] for code in codes],
            price=self.price[codes],
            available_from=self.available_from[codes],
        )


@dataclass(frozen=True, eq=False)
class ProfileTable:
    """What described users, by user and period: row r from begin[r] on, until the same user's next row.

    Sorted by (user, begin); a row is made from events before its begin alone. items: codes that row r was made from,
    newest first. maker: source, model, prompt version, embedder.
    """

    user: Int64Array  # (R,) codes
    begin: Int64Array  # (R,) unix seconds
    vectors: NDArray[np.floating]  # (R, 4, d_f), zero where a facet is not there
    items: Sequence[Int64Array]
    maker: Mapping[str, str]

    def rows(self, users: Int64Array, at: Int64Array) -> Int64Array:
        """(B,) the row that describes each user at their moment [s]; -1 where there is none yet."""
        if not len(self.user):
            return np.full(len(users), -1, dtype=np.int64)
        first, span, keys = self._order
        wanted = users * span + np.clip(at - first + 1, 0, span - 1)
        row = np.searchsorted(keys, wanted, side="right") - 1
        return np.where((row >= 0) & (self.user[row] == users), row, -1)

    @cached_property
    def _order(self) -> tuple[int, int, Int64Array]:
        """The first begin, moments from before it (0) to the last one, and rows as numbers in order."""
        first, last = int(self.begin.min()), int(self.begin.max())
        span = last - first + 2
        return first, span, self.user * span + (self.begin - first + 1)

    def facets(self, users: Int64Array, at: Int64Array) -> FloatArray:
        """(B, 4, d_f) text embeddings of the facets of each user at their moment [s]; zero where there is none."""
        row = self.rows(users, at)
        found = np.zeros((len(users), *self.vectors.shape[1:]), dtype=np.float32)
        found[row >= 0] = self.vectors[row[row >= 0]]
        return found


@dataclass(frozen=True, eq=False)
class Dataset:
    """Events sorted by (timestamp, user id, item id), ids compared as strings; equal rows keep the order they came in.

    Codes index `user_ids`, `item_ids` and `event_types`, all three sorted. `items` is aligned with `item_ids`,
    which may hold items of the catalogue that have no event.
    """

    name: str
    user: Int32Array  # (E,)
    item: Int32Array  # (E,)
    timestamp: Int64Array  # (E,) unix seconds, UTC
    event_type: Int8Array  # (E,)
    value: FloatArray  # (E,) 0.0 when missing
    event_types: tuple[str, ...]
    user_ids: list[str]
    item_ids: list[str]
    items: ItemTable
    profiles: ProfileTable | None = None

    def __len__(self) -> int:
        return len(self.timestamp)

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    def subset(self, rows: BoolArray | slice) -> "Dataset":
        """The events selected by a mask (E,) or a slice; codes and tables stay as they are."""
        return replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            timestamp=self.timestamp[rows],
            event_type=self.event_type[rows],
            value=self.value[rows],
        )

    def in_order(self) -> "Dataset":
        """The same events in the order that every Dataset promises."""
        order = np.lexsort((self.item, self.user, self.timestamp))
        return replace(
            self,
            user=self.user[order],
            item=self.item[order],
            timestamp=self.timestamp[order],
            event_type=self.event_type[order],
            value=self.value[order],
        )

    def texts(self) -> list[str]:
        """For a text embedder: title, category, brand and text of each item in one string; "" if nothing is known."""
        table = self.items
        rows = zip(table.title, table.category, table.brand, table.text, strict=True)
        return [". ".join(part for part in row if part) for row in rows]
