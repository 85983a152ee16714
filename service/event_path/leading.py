"""Whether a state may be written by a writer with some bundle, from some log."""

from __future__ import annotations

from service.core.types import Position
from service.errors import StateMismatch
from service.ports import EventSource, StateStore


def check_state(store: StateStore, source: EventSource, bundle: str, epoch: int) -> bool:
    """Prepares the state for a writer with `bundle`; True if it has to be made again from the log, because another
    bundle made it or because it is from before an erasure that is complete.

    Raises StateMismatch for the state of another log, and for a state that is ahead of its log.
    """
    position, log_id = store.position(), source.log_id()
    if position.log_id not in {"", log_id}:
        raise StateMismatch(
            f"the state belongs to log {position.log_id}, PEREGRINE_LOG_URL holds log {log_id}: point both at the same "
            "deployment, or use another PEREGRINE_PREFIX"
        )
    if position.offset > (end := source.end()):
        raise StateMismatch(
            f"the state stands at offset {position.offset}, the log ends at {end}: the log has lost records. Restore "
            "the log from its append-only file, or start again with an empty state"
        )
    stale = 0 < position.offset < source.erased()  # restored: it may hold users whose markers have gone from the log
    if position.bundle == bundle and not stale:
        return False
    store.reset(epoch, Position(log_id=log_id, bundle=bundle))
    return position.offset > 0
