"""What a model was trained on, in a few figures: enough to tell one stream of events from another."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from model.data.dataset import Dataset


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """Counts, first and last timestamp (unix seconds) and a digest of users, items, times, types and values."""
    digest = sha256()
    for ids in (dataset.user_ids, dataset.item_ids, dataset.event_types):
        digest.update("\0".join(ids).encode() + b"\1")
    for column in (dataset.user, dataset.item, dataset.timestamp, dataset.event_type, dataset.value):
        digest.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
    first, last = (int(dataset.timestamp[at]) for at in (0, -1)) if len(dataset) else (0, 0)
    counts = {"events": len(dataset), "users": dataset.n_users, "items": dataset.n_items}
    return {"name": dataset.name} | counts | {"first": first, "last": last, "sha256": digest.hexdigest()}
