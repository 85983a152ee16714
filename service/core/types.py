"""The values that travel between the paths, the ports and the adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.process.records import NEVER, Float, Records
from service.errors import BackPressure


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a user did, validated. timestamp: unix seconds, None until the log gives one."""

    event_id: str
    user_id: str
    item_id: str
    type: str
    timestamp: int | None
    value: float = 0.0
    extra: bytes = b""
    """JSON of session_id, request_id and properties; kept in the log, not read by the state process."""


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item as the catalogue knows it from now on.

    document: JSON of the item as the API shows it; vector: float32 bytes of its text embedding (b"" without text),
    made by `embedder`; available_from: unix seconds, None for "from its first event".
    """

    item_id: str
    document: bytes
    embedder: str = ""
    vector: bytes = b""
    available_from: int | None = None


@dataclass(frozen=True, slots=True)
class Erase:
    """Everything of this user's that came before is to go."""

    user_id: str


@dataclass(frozen=True, slots=True)
class Switch:
    """From now on the user is personalised (on), or only counted where nobody can be told (off)."""

    user_id: str
    on: bool


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure on its way. id: random; offset: of its marker in the log; times: unix seconds, `completed_at` None
    as long as it is pending. Who was erased is not in here."""

    id: str
    offset: int
    requested_at: int
    completed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Append:
    """One record for the log. dedupe: the 16 byte digest of a client-given event id, b"" without one."""

    payload: bytes
    timestamp: int | None = None
    dedupe: bytes = b""


@dataclass(frozen=True, slots=True)
class Appended:
    """offset: where the record stands in the log (the first one's, for a duplicate)."""

    offset: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file of the archive: the records first, first + 1, ..., last of the log. size: bytes; sha256: of those."""

    name: str
    first: int
    last: int
    size: int
    sha256: str

    @property
    def rows(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the log. end: offset of its newest record; applied: the offset the worker last reported, from
    about a second ago; pressure: which store the worker found nearly full, "" if none.
    """

    end: int = 0
    applied: int = 0
    pressure: str = ""

    @property
    def lag(self) -> int:
        """Records that wait to be applied."""
        return max(0, self.end - self.applied)

    def refusal(self, max_lag: int) -> BackPressure | None:
        """Why the log takes no more now; None when it does."""
        if self.pressure or self.lag > max_lag:
            return BackPressure(self.lag, max_lag, self.pressure)
        return None


@dataclass(frozen=True, slots=True)
class Totals:
    """What the state says of all that was applied: offset, items, epoch of its writer, events behind the log's time
    (late), records that could not be applied (skipped)."""

    offset: int = 0
    items: int = 0
    epoch: int = 0
    late: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """Where the state stands. Everything in it is a function of the log up to `offset` and of the bundle, but for
    `tick`, the tick that item vectors are published for (live, the wall clock closes ticks too).

    log_time: running maximum of the events' timestamps; item_count: catalogue indexes given so far.
    """

    offset: int = 0
    log_time: int = NEVER
    tick: int = NEVER
    item_count: int = 0
    log_id: str = ""
    bundle: str = ""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """What a commit changed for every replica's item index. Parallel arrays; indexes are catalogue indexes.

    new_items: ids of items whose indexes follow the ones known so far; counters: (k,) `COUNTERS` records;
    vectors: (j, d) visible vectors; documents: what lists filter by (`attributes.searchable`) by catalogue index, of
    the items whose document changed; trace: of sampled events in it (`service.tracing`), mostly "".
    """

    position: Position
    new_items: tuple[str, ...]
    counter_index: NDArray[np.uint32]
    counters: Records
    vector_index: NDArray[np.uint32]
    vectors: Float
    documents: Mapping[int, bytes] = field(default_factory=dict)
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything one step of the worker changes, written together or not at all.

    epoch: of the writer; previous: the offset this step started from; users: packed records by id (UTF-8); documents:
    catalogue JSON by item id; texts: packed text vectors by catalogue index; pending: indexes of items whose open tick
    is not published, to be added to those known (closing: instead of them); skipped: reasons by offset of records that
    could not be applied; late: how many of the events lay behind the log's time; deleted_users: ids of users whose
    records go, none of them among `users`.
    """

    epoch: int
    previous: int
    position: Position
    users: Mapping[bytes, bytes] = field(default_factory=dict)
    items: Mapping[int, bytes] = field(default_factory=dict)
    new_items: tuple[str, ...] = ()
    documents: Mapping[str, bytes] = field(default_factory=dict)
    texts: Mapping[int, bytes] = field(default_factory=dict)
    feed: FeedEntry | None = None
    pending: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    closing: bool = False
    skipped: Mapping[int, str] = field(default_factory=dict)
    late: int = 0
    deleted_users: tuple[bytes, ...] = ()
