"""A stream of events in memory: codes instead of ids, ordered in time.

Knows nothing of files. Arrays have one entry an event, (E,); tables one entry an item, (N,).
"""

from dataclasses import dataclass, replace

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
