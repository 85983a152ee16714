"""The event path: `accept` turns events into log records, `Writer` turns log records into the next state.

The writer reads the log from the offset that stands with the state, computes, and commits records, new ids, the
offset and the feed entry in one step. It is the only writer; whatever it has in memory can be read back (`resume`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import groupby

import numpy as np

from model.process.apply import apply, visible_items
from model.process.batch import Events, Items, Users, stable_hash
from model.process.records import NEVER, Float, Int, Records, counters_of, layout, new_items, new_users
from model.process.temporal_model import TemporalModel
from service.core.blobs import pack_items, pack_text, pack_users, unpack_items, unpack_users
from service.core.learned_items import LearnedItems
from service.core.packing import pack_event, pack_item, unpack
from service.core.types import Append, Commit, Event, FeedEntry, ItemChange, LogEntry, Position
from service.errors import StateMismatch
from service.ports import EventSource, StateStore

CHUNK = 5_000
"""Blobs read at once when everything is read."""
_NONE: Int = np.empty(0, dtype=np.int64)


def accept(events: Sequence[Event], given_id: Sequence[bool]) -> list[Append]:
    """Log records of validated events; those with a client-given event id are deduplicated by it."""
    return [
        Append(pack_event(event), event.timestamp, _digest(event.event_id) if given else "")
        for event, given in zip(events, given_id, strict=True)
    ]


def accept_items(changes: Sequence[ItemChange]) -> list[Append]:
    """Log records of catalogue changes."""
    return [Append(pack_item(change)) for change in changes]


def _digest(event_id: str) -> str:
    return blake2b(event_id.encode(), digest_size=16).hexdigest()


@dataclass
class _Catalogue:
    """What the writer knows of all items: indexes by id, hashes by index, and whose open tick is not published."""

    index: dict[str, int]
    hash: np.ndarray  # (N,) uint64
    pending: set[int]


class Writer:
    """Applies log records to a state store. clock of the ticks: the log's time, or what `close_ticks` is told."""

    def __init__(self, store: StateStore, model: TemporalModel, learned: LearnedItems, epoch: int) -> None:
        self._store = store
        self._model = model
        self._spec = model.spec
        self._learned = learned
        self._epoch = epoch
        self.position = Position()
        self._items = _Catalogue({}, np.empty(0, np.uint64), set())

    def resume(self) -> None:
        """Reads back from the store what it has in memory: at the start, and after a commit of unknown outcome."""
        self.position = self._store.position()
        count = self.position.item_count
        ids = [i for start in range(0, count, CHUNK) for i in self._store.item_ids(start, CHUNK)]
        self._items = _Catalogue({item: at for at, item in enumerate(ids)}, stable_hash(ids), set())
        for start in range(0, count, CHUNK):
            rows = self._read_items(range(start, min(start + CHUNK, count)))
            open_ = np.flatnonzero((rows["key"] >= self.position.tick) & (rows["key"] != NEVER))
            self._items.pending.update((start + open_).tolist())

    def step(self, entries: Sequence[LogEntry]) -> None:
        """Applies records in log order and commits; events and catalogue changes that stand together go together."""
        records = [(entry, unpack(entry)) for entry in entries]
        for is_event, run in groupby(records, key=lambda pair: isinstance(pair[1], Event)):
            pairs = list(run)
            if is_event:
                self._apply_events([(entry, event) for entry, event in pairs if isinstance(event, Event)])
            else:
                self._apply_changes([(entry, change) for entry, change in pairs if isinstance(change, ItemChange)])

    def close_ticks(self, now: int) -> bool:
        """Publishes the items whose tick has ended by the wall clock [s]; True if there was a tick to close."""
        tick = self._spec.tick_of(now)
        if tick <= self.position.tick or self.position.log_time == NEVER:
            return False
        position = replace(self.position, tick=tick)
        self._commit(position, {}, _NONE, np.empty(0, layout(self._spec).item), ())
        return True

    def _apply_events(self, records: Sequence[tuple[LogEntry, Event]]) -> None:
        user_ids, user = _codes(event.user_id for _, event in records)
        item_ids, item = _codes(event.item_id for _, event in records)
        timestamps = np.array([entry.timestamp for entry, _ in records], dtype=np.int64)
        index, rows, new = self._load_items(item_ids)
        users = self._load_users(user_ids)
        items = Items(rows, index.astype(np.uint32), self._items.hash[index])
        events = Events(
            user,
            item,
            timestamps // self._spec.time_resolution * self._spec.time_resolution,
            np.array([self._spec.type_code(event.type) for _, event in records], dtype=np.uint8),
            np.array([event.value for _, event in records], dtype=np.float32),
            np.array([entry.offset for entry, _ in records]),
        )
        keys = rows["key"].copy()
        log_time = apply(users, items, events, self.position.log_time, self._model, self._items.hash)
        tick = max(self.position.tick, self._spec.tick_of(log_time))
        position = replace(self.position, offset=records[-1][0].offset, log_time=log_time, tick=tick)
        blobs = dict(zip(user_ids, pack_users(users), strict=True))
        opened = items.rows["key"] != keys  # a tick opens: what the one before it left shows from now on
        self._commit(position, blobs, index, items.rows, new, shown=index[opened])

    def _apply_changes(self, records: Sequence[tuple[LogEntry, ItemChange]]) -> None:
        latest = {change.item_id: (entry.offset, change) for entry, change in records}
        item_ids = list(latest)
        index, rows, new = self._load_items(item_ids)
        rows["x"] = self._learned.static_half(item_ids, self._texts([c for _, c in latest.values()]), self._model)
        rows["available_from"] = [
            -NEVER if change.available_from is None else change.available_from for _, change in latest.values()
        ]
        rows["offset"] = [offset for offset, _ in latest.values()]
        position = replace(self.position, offset=records[-1][0].offset)
        documents = {item_id: change.document for item_id, (_, change) in latest.items()}
        texts = {
            int(at): pack_text(change.embedder, change.vector)
            for at, (_, change) in zip(index, latest.values(), strict=True)
        }
        self._commit(position, {}, index, rows, new, documents, texts, shown=index)

    def _commit(
        self,
        position: Position,
        users: dict[str, bytes],
        index: Int,
        rows: Records,
        new: tuple[str, ...],
        documents: dict[str, bytes] | None = None,
        texts: dict[int, bytes] | None = None,
        shown: Int = _NONE,
    ) -> None:
        """Commits a step: the touched items (index, rows), and the vectors of those whose visible one has changed.

        shown: indexes whose visible vector is new whatever their tick.
        """
        position = replace(position, item_count=len(self._items.index))
        ended, vectors = self._ended(index, rows, position.tick, shown)
        feed = FeedEntry(
            position, new, index.astype(np.uint32), counters_of(rows, self._spec), ended.astype(np.uint32), vectors
        )
        items = dict(zip(index.tolist(), pack_items(rows), strict=True))
        self._store.commit(
            Commit(self._epoch, self.position.offset, position, users, items, new, documents or {}, texts or {}, feed)
        )
        self.position = position
        self._items.pending.difference_update(ended.tolist())
        self._items.pending.update(index[rows["key"] >= max(position.tick, NEVER + 1)].tolist())

    def _ended(self, index: Int, rows: Records, tick: int, shown: Int) -> tuple[Int, Float]:
        """(indexes, their vectors visible in `tick`) of the items whose visible vector this step changes.

        Those are the touched ones (index, rows) and, when a tick closes, the pending ones, as far as their open tick
        lies before `tick`; and `shown`.
        """
        elsewhere = _NONE
        if tick > self.position.tick:
            elsewhere = np.array(sorted(self._items.pending.difference(index.tolist())), dtype=np.int64)
        every = np.concatenate([index, elsewhere])
        held = np.concatenate([rows, self._read_items(elsewhere.tolist())])
        ended = ((held["key"] < tick) & (held["key"] != NEVER)) | np.isin(every, shown)
        return every[ended], visible_items(held[ended], tick, self._model)

    def _load_items(self, item_ids: Sequence[str]) -> tuple[Int, Records, tuple[str, ...]]:
        """(index, rows, ids of those that are new here); new ones get the next indexes in order."""
        known = len(self._items.index)
        new = [item_id for item_id in item_ids if item_id not in self._items.index]
        self._items.index.update({item_id: known + at for at, item_id in enumerate(new)})
        self._items.hash = np.concatenate([self._items.hash, stable_hash(new)])
        index = np.array([self._items.index[item_id] for item_id in item_ids], dtype=np.int64)
        rows = new_items(len(item_ids), self._spec, self._model.initial_item)
        rows[index < known] = self._read_items(index[index < known].tolist())
        if new:
            text = np.zeros((len(new), self._spec.text_dim), dtype=np.float32)
            rows["x"][index >= known] = self._learned.static_half(new, text, self._model)
        return index, rows, tuple(new)

    def _read_items(self, index: Sequence[int]) -> Records:
        blobs = self._store.items(index) if len(index) else []
        if missing := [i for i, blob in zip(index, blobs, strict=True) if blob is None]:
            raise StateMismatch(f"items {missing[:5]} are registered but have no record: rebuild the state")
        return unpack_items([blob for blob in blobs if blob is not None], self._spec)

    def _load_users(self, user_ids: Sequence[str]) -> Users:
        blobs = self._store.users(user_ids)
        fresh = new_users(1, self._spec, self._model.initial_user).tobytes()
        return unpack_users([fresh if blob is None else blob for blob in blobs], self._spec)

    def _texts(self, changes: Sequence[ItemChange]) -> Float:
        """(B, d_t); zero where there is no text, or one that another embedder made."""
        text = np.zeros((len(changes), self._spec.text_dim), dtype=np.float32)
        for place, change in enumerate(changes):
            if change.vector and change.embedder == self._spec.embedder:
                text[place] = np.frombuffer(change.vector, dtype=np.float32)
        return text


def _codes(ids: Iterable[str]) -> tuple[list[str], Int]:
    """Distinct ids in order of appearance, and each one's place among them."""
    places: dict[str, int] = {}
    codes = [places.setdefault(i, len(places)) for i in ids]
    return list(places), np.array(codes, dtype=np.int64)


def check_state(store: StateStore, source: EventSource, bundle: str, epoch: int) -> bool:
    """Prepares the state for a writer with `bundle`; True if it has to be made again from the log.

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
    if position.bundle == bundle:
        return False
    store.reset(epoch, Position(log_id=log_id, bundle=bundle))
    return position.offset > 0
