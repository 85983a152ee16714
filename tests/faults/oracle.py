"""Judges a run: the log against what was acknowledged, and the state against a replay of the log in memory."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from model.process.batch import Users
from model.process.records import Records, new_users
from model.spec import ModelSpec
from service.adapters.bundle import Bundle
from service.adapters.in_memory import InMemoryState, InMemoryStateStore
from service.core.blobs import unpack_items, unpack_users
from service.core.log_records import EVENT, ITEM, Columns, LogRecords
from service.core.types import Event, Position
from service.event_path import Writer
from service.ports import EventSource, StateStore
from tests.faults.traffic import Batch, Document, Ledger

TOLERANCE = 1e-4
"""Largest difference of a float, relative to it where it is above 1: sums of other batches are rounded otherwise."""
_CHUNK = 1_000
_NOTES = 20


@dataclass
class Verdict:
    """lost, doubled: events, in the log or in the counts of the state; wrong_entities: users and items that differ."""

    acked: int = 0
    lost: int = 0
    doubled: int = 0
    wrong_entities: int = 0
    max_vector_difference: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.wrong_entities or self.notes)

    def note(self, text: str) -> None:
        """Something that must not be, beside the counts."""
        if len(self.notes) < _NOTES:
            self.notes.append(text)

    def as_json(self) -> str:
        return json.dumps(asdict(self))


def judge(ledger: Ledger, source: EventSource, store: StateStore, bundle: Bundle) -> Verdict:
    """Everything at once. Nothing may be under way."""
    verdict = Verdict(acked=ledger.acked)
    records = read_log(source)
    columns = Columns(records)
    _judge_events(ledger, columns, verdict)
    _judge_items(ledger, columns, verdict)
    expected = replay(records, bundle)
    _judge_state(expected, store, bundle.model.spec, verdict)
    return verdict


def read_log(source: EventSource) -> LogRecords:
    """All records. Raises LogTrimmed if some are gone."""
    parts, after = [], 0
    while len(part := source.read(after, _CHUNK, 0)):
        parts.append(part)
        after = int(part.offset[-1])
    return LogRecords.join(parts)


def replay(records: LogRecords, bundle: Bundle) -> InMemoryState:
    """The state that these records make, in memory and undisturbed."""
    state = InMemoryState(position=Position(bundle=bundle.hash))
    store = InMemoryStateStore(state)
    writer = Writer(store, bundle.model, store.acquire("oracle", 1_000))
    writer.resume()
    for start in range(0, len(records), _CHUNK):
        writer.step(records.part(start, min(start + _CHUNK, len(records))))
    return state


def _judge_events(ledger: Ledger, columns: Columns, verdict: Verdict) -> None:
    """Each acknowledged event stands once in the log, where its answer said, and nothing else does."""
    offsets = columns.records.offset.tolist()
    if offsets != list(range(1, len(offsets) + 1)):
        verdict.note("the offsets of the log are not contiguous")
    events = {place: columns.event(place) for place in np.flatnonzero(columns.kind == EVENT).tolist()}
    found = Counter(event.event_id for event in events.values())
    sent = {event["event_id"]: event for batch in ledger.events for event in batch.new}
    verdict.lost += len(sent.keys() - found.keys())
    verdict.doubled += sum(found.values()) - len(found.keys() & sent.keys())
    for event in events.values():
        if not _reads_as(event, sent.get(event.event_id, {})):
            verdict.note(f"the log holds {event} where {sent.get(event.event_id)} was sent")
    timed = [place for place, event in events.items() if "timestamp" in sent.get(event.event_id, {})]
    if (np.diff(np.delete(columns.records.timestamp, timed)) < 0).any():
        verdict.note("the log's clock went back: it gave a time below one that it gave before")
    wrong = _order_by_user(_acked_at(ledger.events)) ^ _order_by_user(
        (offsets[place], event.user_id, event.event_id) for place, event in events.items()
    )
    verdict.wrong_entities += len({user for user, _ in wrong})


def _reads_as(event: Event, sent: Document) -> bool:
    there = {"user_id": event.user_id, "item_id": event.item_id, "type": event.type, "value": event.value}
    return there | {"event_id": event.event_id, "timestamp": event.timestamp} == {"timestamp": event.timestamp} | sent


def _acked_at(batches: Iterable[Batch]) -> Iterable[tuple[int, str, str]]:
    """(offset, user, event id) by the answers: the new ones of a batch stand together, up to the answered offset."""
    for batch in batches:
        first = batch.offset - len(batch.new) + 1
        for offset, event in enumerate(batch.new, first):
            yield offset, event["user_id"], event["event_id"]


def _order_by_user(events: Iterable[tuple[int, str, str]]) -> set[tuple[str, bytes]]:
    """Each user's order hash: over offset and id of its events."""
    lines: dict[str, list[str]] = defaultdict(list)
    for offset, user, event_id in sorted(events):
        lines[user].append(f"{offset} {event_id}")
    return {(user, blake2b("\n".join(some).encode(), digest_size=16).digest()) for user, some in lines.items()}


def _judge_items(ledger: Ledger, columns: Columns, verdict: Verdict) -> None:
    """Each acknowledged catalogue change stands where its answer said; others are repeats of unanswered attempts."""
    places = np.flatnonzero(columns.kind == ITEM).tolist()
    at = {int(columns.records.offset[place]): columns.item_change(place) for place in places}
    titles = Counter(json.loads(change.document)["title"] for change in at.values())
    for batch in ledger.items:
        for offset, item in enumerate(batch.new, batch.offset - len(batch.new) + 1):
            change = at.get(offset)
            if change is None or change.item_id != item["item_id"] or change.available_from != item["available_from"]:
                verdict.lost += 1
    sent = {item["title"] for batch in ledger.items for item in batch.new}
    largest = max((len(batch.new) for batch in ledger.items), default=0)
    if titles.keys() - sent or len(places) > ledger.item_attempts * largest:
        verdict.note("the log holds catalogue changes that nobody made")


def _judge_state(expected: InMemoryState, store: StateStore, spec: ModelSpec, verdict: Verdict) -> None:
    position = store.position()
    for name in ("offset", "log_time", "item_count"):
        if (there := getattr(position, name)) != (wanted := getattr(expected.position, name)):
            verdict.note(f"the state's {name} is {there}, not {wanted}")
    if skipped := store.skipped():
        verdict.note(f"records were skipped: {skipped}")
    if store.item_ids(0, position.item_count) != expected.ids:
        verdict.note("items have other indexes than the order of the log gives")
    index = list(expected.items)
    blobs, wanted = store.items(index), list(expected.items.values())
    items = _differs(unpack_items(_present(blobs, wanted), spec), unpack_items(wanted, spec), "item", verdict)
    verdict.wrong_entities += int(items.sum()) + sum(blob is None for blob in blobs)
    user_ids = list(expected.users)
    blobs, wanted = _read_users(store, user_ids), list(expected.users.values())
    blank = new_users(1, spec, np.zeros(spec.dim, np.float32)).tobytes()
    _judge_users(unpack_users([blob or blank for blob in blobs], spec), unpack_users(wanted, spec), verdict)


def _read_users(store: StateStore, user_ids: Sequence[bytes]) -> list[bytes | None]:
    parts = (user_ids[start : start + _CHUNK] for start in range(0, len(user_ids), _CHUNK))
    return [blob for part in parts for blob in store.users(part)]


def _present(blobs: Sequence[bytes | None], wanted: Sequence[bytes]) -> list[bytes]:
    """What is missing is counted apart: here the wanted one stands in."""
    return [want if blob is None else blob for blob, want in zip(blobs, wanted, strict=True)]


def _judge_users(found: Users, wanted: Users, verdict: Verdict) -> None:
    wrong = _differs(found.rows, wanted.rows, "user", verdict)
    for user in range(len(wanted)):
        there, want = found.pairs_of(user), wanted.pairs_of(user)
        counts = Counter(dict(zip(there["item"].tolist(), there["count"].tolist(), strict=True)))
        counts.subtract(dict(zip(want["item"].tolist(), want["count"].tolist(), strict=True)))
        verdict.lost += sum(-count for count in counts.values() if count < 0)
        verdict.doubled += sum(count for count in counts.values() if count > 0)
        same = np.array_equal(there["item"], want["item"])
        wrong[user] |= not same or bool(_differs(there, want, f"pair of user {user}", verdict).any())
    verdict.wrong_entities += int(wrong.sum())


def _differs(found: Records, wanted: Records, what: str, verdict: Verdict) -> NDArray[np.bool_]:
    """(n,) which records differ: integers at all, floats by more than TOLERANCE."""
    wrong = np.zeros(len(wanted), dtype=np.bool_)
    for name in wanted.dtype.names or ():
        there, want = found[name].reshape(len(wanted), -1), wanted[name].reshape(len(wanted), -1)
        if want.dtype.kind == "f":
            difference = np.abs(there - want) / np.maximum(1.0, np.abs(want))
            verdict.max_vector_difference = max(verdict.max_vector_difference, float(difference.max(initial=0.0)))
            here = ~(difference <= TOLERANCE).all(axis=1)
        else:
            here = (there != want).any(axis=1)
        if here.any():
            verdict.note(f"{name} of {int(here.sum())} of {len(wanted)} {what}s differs, first {int(here.argmax())}")
        wrong |= here
    return wrong
