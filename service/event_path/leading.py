"""Whether a state may be written by a writer with some bundle, from some log."""

from __future__ import annotations

from service.core.types import Position
from service.errors import StateMismatch
from service.ports import EventSource, StateStore


def check_log(position: Position, source: EventSource) -> None:
    """Raises StateMismatch for the state of another log, and for a state that is ahead of its log."""
    log_id = source.log_id()
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


def check_state(store: StateStore, source: EventSource, bundle: str, epoch: int) -> bool:
    """Prepares the state for a writer with `bundle`: a state in which nothing happened yet becomes its own. True if it
    was begun again, because it is from before an erasure that is complete.

    Raises StateMismatch, also for a state that other weights made.
    """
    position = store.position()
    check_log(position, source)
    stale = 0 < position.offset < source.erased()  # restored: it may hold users whose markers have gone from the log
    if position.bundle == bundle and not stale:
        return False
    if position.offset > 0 and not stale:
        raise StateMismatch(f"the state was made by bundle {position.bundle:.12}, not by {bundle:.12}: rebuild it")
    store.reset(epoch, Position(log_id=source.log_id(), bundle=bundle))
    return stale
