"""The writer: log records into the next state, one commit a step.

It reads the log from the offset that stands with the state, computes, and commits records, new ids, the offset and the
feed entry at once. It is the only writer; whatever it has in memory can be read back (`resume`). With `overlap`, a step
is computed while the commit before it is on its way: from records that the cache still holds, and committed after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

import numpy as np

from model.process.apply import apply, visible_items
from model.process.batch import Events, Items
from model.process.records import NEVER, Float, Int, Records, counters_of, layout
from model.process.temporal_model import TemporalModel
from service.core.attributes import searchable
from service.core.blobs import pack_items, pack_text, pack_users
from service.core.item_texts import ItemTexts
from service.core.log_records import EVENT, ITEM, NOTHING, Columns, LogRecords
from service.core.types import Commit, FeedEntry, Position
from service.errors import Fenced
from service.event_path.catalogue import Catalogue
from service.event_path.columns import at, check_finite, codes
from service.event_path.markers import mark
from service.event_path.working_set import WorkingSet
from service.meter import Meter
from service.ports import StateRecords
from service.tracing import Span, Tracer, ending, pack, traced

_NONE: Int = np.empty(0, dtype=np.int64)


class Writer:
    """Applies log records to a state store. clock of the ticks: the log's time, or what `close_ticks` is told.

    items: what is known of the store's items already; texts: of items, None for those that the log holds; meter: told
    how long stages take and what becomes of commits; tracer: of sampled events.
    """

    def __init__(
        self,
        store: StateRecords,
        model: TemporalModel,
        epoch: int,
        overlap: bool = False,
        items: Catalogue | None = None,
        texts: ItemTexts | None = None,
        meter: Meter | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._store = store
        self._meter = meter or Meter()
        self._tracer = tracer
        self._model = model
        self._spec = model.spec
        self._texts = texts or ItemTexts(model.spec)
        self._epoch = epoch
        self.position = Position()
        self._items = Catalogue() if items is None else items
        self._records = WorkingSet(store, model, self._items, self.check)
        self._pending: set[int] = set()  # items whose open tick is not published
        self._skipped: dict[int, str] = {}  # of records that cannot be applied: offset and reason
        self._type_codes = {name.encode(): code for code, name in enumerate(self._spec.event_types)}
        self._other = self._spec.type_code(None)
        self._committer = ThreadPoolExecutor(1, "commit") if overlap else None
        self._under_way: Future[None] | None = None

    def resume(self) -> None:
        """Reads back from the store what it has in memory: at the start, and after a step of unknown outcome."""
        if self._under_way is not None:
            wait([self._under_way])  # whatever became of it, the store knows
            self._under_way = None
        self.position = self._store.position()
        self._records.follow(self.position.item_count)
        self._pending = set(self._store.pending().tolist())
        self._skipped = self._store.skipped()

    def settle(self) -> None:
        """Waits for the commit that is under way. Raises what it failed with; then only `resume` helps."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            with self._meter.stage("wait"):
                under_way.result()

    def check(self) -> None:
        """Raises Fenced if the state is not where this writer left it: its server may have lost its last second, and
        whoever connects again does not see that."""
        self.settle()
        if (there := self._store.position()) != self.position:
            raise Fenced(f"the state stands at {there}, this writer left it at {self.position}")

    def close(self) -> None:
        """Waits for the commit that is under way, however it ends."""
        if self._committer is not None:
            self._committer.shutdown()

    def skip(self, offset: int, reason: str) -> None:
        """Leaves out the record at `offset`, and says so in the commit that passes it."""
        self._skipped[offset] = reason

    def step(self, records: LogRecords) -> None:
        """Applies records in log order and commits; those of one kind that stand together go together.

        Raises UnreadableRecord or NotFinite for a record that cannot be applied.
        """
        for kind, columns, places, offset in self._runs(records):
            if kind == EVENT:
                self._apply_events(columns, places, offset)
            elif kind == ITEM:
                self._apply_changes(columns, places, offset)
            else:
                marked = mark(kind, columns, places, self._records.load_users, self._model)
                self._commit(replace(self.position, offset=offset), marked.users, deleted=marked.deleted)

    def _runs(self, records: LogRecords) -> Iterator[tuple[int, Columns, Int, int]]:
        """(kind, columns, places in them, offset to commit at) of the records of one kind that stand together.

        What was skipped or erased is in no run. If nothing else is there, a run of NOTHING moves the offset.
        """
        end = int(records.offset[-1])
        columns = Columns(records.without(self._skipped) if self._skipped else records)
        left = np.flatnonzero(columns.kind != NOTHING)
        if not len(left):
            yield NOTHING, columns, left, end
            return
        kinds, offsets = columns.kind[left], columns.records.offset[left]
        starts = np.flatnonzero(np.concatenate([[True], kinds[1:] != kinds[:-1]])).tolist()
        for start, stop in zip(starts, [*starts[1:], len(left)], strict=True):
            offset = end if stop == len(left) else int(offsets[stop]) - 1
            yield int(kinds[start]), columns, left[start:stop], offset

    def close_ticks(self, now: int) -> bool:
        """Publishes the items whose tick has ended by the wall clock [s]; True if there was a tick to close."""
        tick = self._spec.tick_of(now)
        if tick <= self.position.tick or self.position.log_time == NEVER:
            return False
        self._commit(replace(self.position, tick=tick))
        return True

    def _apply_events(self, columns: Columns, places: Int, offset: int) -> None:
        user_ids, user = codes(at(columns.user, places))
        item_ids, item = codes(at(columns.item, places))
        with self._meter.stage("load"):
            index, rows, new = self._records.load_items(item_ids)
            users = self._records.load_users(user_ids)
        items = Items(rows, index.astype(np.uint32), self._items.hash[index])
        timestamps, values = columns.records.timestamp[places], columns.value[places]
        check_finite("value", values)
        events = Events(
            user,
            item,
            timestamps // self._spec.time_resolution * self._spec.time_resolution,
            np.array([self._type_codes.get(name, self._other) for name in at(columns.type, places)], dtype=np.uint8),
            values,
            columns.records.offset[places],
        )
        keys, late = rows["key"].copy(), int(users.rows["late"].sum())
        with self._meter.stage("apply"):
            log_time = apply(users, items, events, self.position.log_time, self._model, self._items.hash)
        for memory in (users.rows, items.rows):
            check_finite("m", memory["m"])
            check_finite("sum", memory["sum"])
        tick = max(self.position.tick, self._spec.tick_of(log_time))
        position = replace(self.position, offset=offset, log_time=log_time, tick=tick)
        blobs = dict(zip(user_ids, pack_users(users), strict=True))
        opened = items.rows["key"] != keys  # a tick opens: what the one before it left shows from now on
        opened |= index >= len(self._items) - len(new)  # one that only switched-off users have touched shows, too
        late = int(users.rows["late"].sum()) - late
        found = [] if self._tracer is None else traced(columns, places.tolist())
        self._commit(position, blobs, index, items.rows, new, shown=index[opened], late=late, found=found)

    def _apply_changes(self, columns: Columns, places: Int, offset: int) -> None:
        changes = [columns.item_change(place) for place in places.tolist()]
        offsets = columns.records.offset[places].tolist()
        latest = {change.item_id: (at, change) for at, change in zip(offsets, changes, strict=True)}
        item_ids = list(latest)
        index, rows, new = self._records.load_items([item_id.encode() for item_id in item_ids])
        read = self._texts.read([change for _, change in latest.values()])
        rows["x"] = self._model.static_items(self._texts.vectors(read))
        rows["available_from"] = [
            -NEVER if change.available_from is None else change.available_from for _, change in latest.values()
        ]
        rows["offset"] = [at for at, _ in latest.values()]
        check_finite("x", rows["x"])
        position = replace(self.position, offset=offset)
        documents = {item_id: change.document for item_id, (_, change) in latest.items()}
        texts = {int(at): pack_text(*text) for at, text in zip(index, read, strict=True)}
        self._commit(position, {}, index, rows, new, documents, texts, shown=index)

    def _commit(
        self,
        position: Position,
        users: dict[bytes, bytes] | None = None,
        index: Int = _NONE,
        rows: Records | None = None,
        new: tuple[str, ...] = (),
        documents: dict[str, bytes] | None = None,
        texts: dict[int, bytes] | None = None,
        shown: Int = _NONE,
        late: int = 0,
        deleted: tuple[bytes, ...] = (),
        found: Sequence[tuple[int, str]] = (),
    ) -> None:
        """Commits a step: the touched items (index, rows), and the vectors of those whose visible one has changed.

        shown: indexes whose visible vector is new whatever their tick; late: events behind the log's time;
        found: traced events.
        """
        rows = np.empty(0, layout(self._spec).item) if rows is None else rows
        position = replace(position, item_count=len(self._items))
        ended, vectors = self._ended(index, rows, position.tick, shown)
        span, trace = self._span(found)
        feed = FeedEntry(
            position,
            new,
            index.astype(np.uint32),
            counters_of(rows, self._spec),
            ended.astype(np.uint32),
            vectors,
            {self._items.index[name.encode()]: searchable(document) for name, document in (documents or {}).items()},
            trace,
        )
        closing = position.tick > self.position.tick
        opened = set(index[rows["key"] >= max(position.tick, NEVER + 1)].tolist())
        pending = opened if closing else opened - self._pending
        commit = Commit(
            self._epoch,
            self.position.offset,
            position,
            users or {},
            dict(zip(index.tolist(), pack_items(rows), strict=True)),
            new,
            documents or {},
            texts or {},
            feed,
            np.array(sorted(pending), np.uint32),
            closing,
            {at: why for at, why in self._skipped.items() if self.position.offset < at <= position.offset},
            late,
            deleted,
        )
        self._send(commit, span)
        self.position = position
        self._pending = pending if closing else self._pending | pending

    def _span(self, found: Sequence[tuple[int, str]]) -> tuple[Span | None, str]:
        """A commit's span, and what its feed entry carries; nothing of them if no event in it is traced."""
        if self._tracer is None or not found:
            return None, ""
        span = self._tracer.begin("commit", parent=found[0][1], links=[context for _, context in found])
        return span, pack(span.context, [offset for offset, _ in found])

    def _send(self, commit: Commit, span: Span | None) -> None:
        self.settle()
        self._records.keep(commit)
        if self._committer is None:
            self._write(commit, span)
        else:
            self._under_way = self._committer.submit(self._write, commit, span)
        if commit.deleted_users:
            self._records.drop(commit.deleted_users)
            self.settle()  # until then the store still has them

    def _write(self, commit: Commit, span: Span | None) -> None:
        with self._meter.commit(), ending(span, records=commit.position.offset - commit.previous):
            self._store.commit(commit)
        self._meter.sums["applied_records"] += commit.position.offset - commit.previous
        self._meter.levels["worker_offset"] = commit.position.offset

    def _ended(self, index: Int, rows: Records, tick: int, shown: Int) -> tuple[Int, Float]:
        """(indexes, their vectors visible in `tick`) of the items whose visible vector this step changes.

        Those are the touched ones (index, rows) and, when a tick closes, the pending ones, as far as their open tick
        lies before `tick`; and `shown`.
        """
        elsewhere = _NONE
        if tick > self.position.tick:
            elsewhere = np.array(sorted(self._pending.difference(index.tolist())), dtype=np.int64)
        every = np.concatenate([index, elsewhere])
        held = np.concatenate([rows, self._records.read_items(elsewhere.tolist())])
        ended = ((held["key"] < tick) & (held["key"] != NEVER)) | np.isin(every, shown)
        return every[ended], visible_items(held[ended], tick, self._model)
