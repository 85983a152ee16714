"""Small data sets for tests of evaluation."""

from collections.abc import Sequence

import numpy as np

from model.data import Dataset, ItemTable

Row = tuple[int, int, int]
"""user, item, timestamp"""


def stream(rows: Sequence[Row], n_users: int, n_items: int, available_from: dict[int, int] | None = None) -> Dataset:
    """A Dataset of purchases; available_from: seconds by item code."""
    user, item, timestamp = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    table = ItemTable.empty(n_items)
    for code, seconds in (available_from or {}).items():
        table.available_from[code] = seconds
    return Dataset(
        name="stream",
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        timestamp=timestamp,
        event_type=np.zeros(len(rows), dtype=np.int8),
        value=np.ones(len(rows), dtype=np.float32),
        event_types=("purchase",),
        user_ids=[f"user-{code:04}" for code in range(n_users)],
        item_ids=[f"item-{code:04}" for code in range(n_items)],
        items=table,
    ).in_order()


def random_stream(seed: int, n_events: int, n_users: int, n_items: int, per_timestamp: int = 4) -> Dataset:
    """Users and items drawn evenly, `per_timestamp` events at each of the timestamps 1000, 1030, 1060, ..."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(n_users, size=n_events), rng.integers(n_items, size=n_events)
    times = 1_000 + 30 * (np.arange(n_events) // per_timestamp)
    rows = sorted(set(zip(users.tolist(), items.tolist(), times.tolist(), strict=True)))
    return stream(rows, n_users, n_items)
