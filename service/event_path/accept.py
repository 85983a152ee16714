"""Validated input into log records."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from service.core.log_records import pack_erase, pack_event, pack_item, pack_switch
from service.core.types import Append, Erase, Event, ItemChange, Switch


def accept(events: Sequence[Event], given_id: Sequence[bool]) -> list[Append]:
    """Log records of validated events; those with a client-given event id are deduplicated by it."""
    return [
        Append(pack_event(event), event.timestamp, digest_of(event.event_id.encode()) if given else b"")
        for event, given in zip(events, given_id, strict=True)
    ]


def accept_items(changes: Sequence[ItemChange]) -> list[Append]:
    """Log records of catalogue changes."""
    return [Append(pack_item(change)) for change in changes]


def accept_marker(marker: Erase | Switch) -> Append:
    """Log record of a marker."""
    return Append(pack_erase(marker) if isinstance(marker, Erase) else pack_switch(marker))


def digest_of(event_id: bytes) -> bytes:
    """What the log remembers of a client-given event id: 16 bytes."""
    return blake2b(event_id, digest_size=16).digest()
