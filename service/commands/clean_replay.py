"""A memory as it stands in the store against what it ought to be: the log replayed once more, in this process alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.process.records import Records
from model.spec import ModelSpec
from service.adapters.in_memory import InMemoryState, InMemoryStateStore
from service.core.blobs import unpack_items, unpack_users
from service.core.bundles import Bundle
from service.core.types import Position
from service.event_path import Writer, apply_records
from service.ports import EventSource, StateRecords

_BATCH = 5_000
_CHUNK = 2_000
"""Records compared at once."""


@dataclass(frozen=True)
class Verdict:
    """missing, doubled: events that the memory counts too few, or too many, by what was accepted of each user;
    difference: the largest of two floats, as a part of 1 + their size, inf where integers differ."""

    missing: int
    doubled: int
    difference: float


def judge(store: StateRecords, source: EventSource, bundle: Bundle, accepted: Mapping[str, int]) -> Verdict:
    """accepted: events by user, all of them; nothing may come in meanwhile."""
    clean = replayed(source, bundle)
    users = sorted(user.encode() for user in accepted)
    found = []
    for start in range(0, len(users), _CHUNK):
        blobs = store.users(users[start : start + _CHUNK])
        known = unpack_users([blob for blob in blobs if blob is not None], bundle.model.spec)
        counts = iter(known.rows["events"].tolist())
        found += [0 if blob is None else int(next(counts)) for blob in blobs]
    off = [accepted[user.decode()] - count for user, count in zip(users, found, strict=True)]
    if store.position().item_count != clean.position().item_count:
        difference = float("inf")
    else:
        difference = furthest(store, clean, users, range(clean.position().item_count), bundle.model.spec)
    return Verdict(sum(max(0, n) for n in off), sum(max(0, -n) for n in off), difference)


def replayed(source: EventSource, bundle: Bundle) -> InMemoryStateStore:
    """The whole log, one writer, steps of equal size."""
    store = InMemoryStateStore(InMemoryState(position=Position(log_id=source.log_id(), bundle=bundle.hash)))
    writer = Writer(store, bundle.model, store.acquire("replay", 3_600_000), texts=bundle.texts)
    writer.resume()
    while len(records := source.read(writer.position.offset, _BATCH, block_ms=0)):
        apply_records(writer, records)
    writer.close()
    return store


def furthest(left: StateRecords, right: StateRecords, users: Sequence[bytes], items: range, spec: ModelSpec) -> float:
    """Over the records of these users and items, which both stores have."""
    most = 0.0
    for start in range(0, len(users), _CHUNK):
        some = users[start : start + _CHUNK]
        ours, theirs = (unpack_users(_there(store.users(some)), spec) for store in (left, right))
        most = max(most, difference(ours.rows, theirs.rows), difference(ours.pairs, theirs.pairs))
    for start in range(items.start, items.stop, _CHUNK):
        part = range(start, min(start + _CHUNK, items.stop))
        most = max(most, difference(*(unpack_items(_there(store.items(part)), spec) for store in (left, right))))
    return most


def difference(ours: Records, theirs: Records) -> float:
    """Of the records of one kind; inf where integers differ, or how many there are."""
    if ours.shape != theirs.shape:
        return float("inf")
    most = 0.0
    for name in ours.dtype.names or ():
        if np.issubdtype(ours[name].dtype, np.floating):
            scale = 1.0 + np.abs(theirs[name])
            most = max(most, float((np.abs(ours[name] - theirs[name]) / scale).max(initial=0.0)))
        elif not np.array_equal(ours[name], theirs[name]):
            return float("inf")
    return most


def _there(blobs: Sequence[bytes | None]) -> list[bytes]:
    return [blob for blob in blobs if blob is not None]
