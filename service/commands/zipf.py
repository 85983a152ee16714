"""Made-up traffic for measuring throughput: users and items by Zipf's law, in HTTP bodies of some hundred events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np

from service.core.types import Event


class Zipf:
    """Events of `users` users on `items` items; the r-th most active has a share of 1/r. The same each time but for the
    ids, which no other run uses."""

    def __init__(self, users: int, items: int) -> None:
        self._rng = np.random.default_rng(0)
        self._run = f"{time.time_ns():x}"
        self._users, self._items = _shares(users), _shares(items)
        self._sent = 0

    def events(self, count: int, timestamp: int | None = None) -> list[Event]:
        """timestamp: unix seconds, None for the server's time."""
        users = np.searchsorted(self._users, self._rng.random(count)).tolist()
        items = np.searchsorted(self._items, self._rng.random(count)).tolist()
        first, self._sent = self._sent, self._sent + count
        return [
            Event(f"{self._run}-{first + n}", f"{self._run}-u{u}", f"{self._run}-i{i}", "purchase", timestamp, 1.0)
            for n, (u, i) in enumerate(zip(users, items, strict=True))
        ]

    def bodies(self, batch: int) -> Iterator[bytes]:
        """JSON arrays of `batch` events without timestamps."""
        while True:
            yield encode(self.events(batch))


def encode(events: list[Event]) -> bytes:
    documents = [
        {"event_id": e.event_id, "user_id": e.user_id, "item_id": e.item_id, "type": e.type, "value": e.value}
        for e in events
    ]
    return json.dumps(documents, separators=(",", ":")).encode()


def _shares(count: int) -> np.ndarray:
    """(count,) cumulative shares, the last one 1."""
    weights = np.cumsum(1.0 / np.arange(1, count + 1))
    shares: np.ndarray = weights / weights[-1]
    return shares
