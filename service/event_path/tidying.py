"""What nobody needs of the state any more: generations that were replaced, and what a broken-off rebuild left."""

from __future__ import annotations

from service.core.types import Position
from service.errors import LeaseHeld
from service.event_path.lease import Lease
from service.ports import Generations

GRACE_SECONDS = 60.0
"""How long a generation that was replaced can still be read: by requests under way, and by replicas that load."""
_LEASE_SECONDS = 10.0


def tidy(generations: Generations, owner: str, grace_seconds: float = GRACE_SECONDS) -> int:
    """Deletes them; how many. What is being made just now stays, whoever makes it has the lease."""
    count = generations.delete_retired(grace_seconds)
    store = generations.next()
    if store.position() == Position():
        return count
    try:
        with Lease(store, owner, _LEASE_SECONDS) as lease:
            store.reset(lease.epoch, Position())
    except LeaseHeld:
        return count
    return count + 1
