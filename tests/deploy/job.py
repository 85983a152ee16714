"""The main job over HTTP, wherever the service runs: events come in, and lists change."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from service.client import Client

DEADLINE = 60.0
USERS, ITEMS = 20, 30


def until(holds: Callable[[], object], seconds: float = DEADLINE) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def catalogue() -> list[dict[str, Any]]:
    kinds = ("coffee", "tea", "bread")
    return [
        {"item_id": f"item-{n}", "title": f"{kinds[n % 3]} number {n}", "category": kinds[n % 3]} for n in range(ITEMS)
    ]


def events(rounds: int = 5) -> list[dict[str, Any]]:
    """Each user comes back to items of one kind. Their times are the service's."""
    return [
        {
            "event_id": f"{user}-{turn}",
            "user_id": f"user-{user}",
            "item_id": f"item-{(user + 3 * turn) % ITEMS}",
            "type": "purchase",
        }
        for turn in range(rounds)
        for user in range(USERS)
    ]


def main_job(client: Client) -> None:
    """Raises AssertionError unless each event is taken once and one purchase changes that user's next list."""
    client.put_items(catalogue(), wait=True)
    posted = events()
    accepted = client.post_events(posted, wait=True)
    assert (accepted.accepted, accepted.rejected, accepted.applied) == (len(posted), 0, True)
    assert client.post_events(posted).duplicates == len(posted)
    before = client.recommendations("user-0", k=10)
    bought = before.items[-1].item_id
    accepted = client.post_events([{"user_id": "user-0", "item_id": bought, "type": "purchase"}], wait=True)
    after = client.recommendations("user-0", k=10, min_offset=accepted.offset)
    assert after.strategy == "model"
    assert after.state.events_seen == before.state.events_seen + 1
    scores = {entry.item_id: entry.score for entry in before.items}
    assert max(abs(entry.score - scores.get(entry.item_id, 0.0)) for entry in after.items) > 1e-3
