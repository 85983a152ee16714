"""Whether everything that was accepted is in the state: users are read back and their counts compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from service.client import Client, NotFound
from service.commands.posting import patiently

Counts = Mapping[str, Counter[str]]
"""Number of events by user and item."""


def count(events: Iterable[Mapping[str, Any]]) -> dict[str, Counter[str]]:
    """Counts of event documents."""
    counts: dict[str, Counter[str]] = {}
    for event in events:
        counts.setdefault(event["user_id"], Counter())[event["item_id"]] += 1
    return counts


def lost(client: Client, accepted: Counts, uncertain: Counts | None = None) -> int:
    """How many events the state counts too few, plus how many it counts too many. The users have no other events.

    uncertain: events whose POST had no answer, which may be in or not.
    """
    total = 0
    for user_id, items in accepted.items():
        found, perhaps = _found(client, user_id), (uncertain or {}).get(user_id, Counter())
        for item_id in found.keys() | items.keys():
            too_many = found[item_id] - items[item_id] - perhaps[item_id]
            total += max(0, too_many, items[item_id] - found[item_id])
    return total


def _found(client: Client, user_id: str) -> Counter[str]:
    try:
        document = patiently(lambda: client.get_user(user_id, pairs=True))
    except NotFound:
        return Counter()
    return Counter({pair["item_id"]: int(pair["count"]) for pair in document["pairs"]})
