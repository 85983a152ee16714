"""Every key, stored field and server-side function of Peregrine in Redis/Valkey.

    log     <prefix>:log          stream, an entry for the records of one append, its id the <offset>-0 of the last one;
                                  fields t (timestamps), l (lengths), p (payloads), side by side
            <prefix>:log:meta     hash: offset, time (last one given to a record without), id, epoch (of the keeper),
                                  applied and pressure (as the worker reported them), erased (highest marker of an
                                  erasure that the log has got rid of)
            <prefix>:log:recent   list of <offset>:<digest>, oldest first: what bounds the digests
            <prefix>:log:copy     stream: the log as an erasure rewrites it, to take the log's place
            <prefix>:d:<digest>   offset of the record with this digest, expires
            <prefix>:erasures     set of the ids of pending erasures
            <prefix>:erasure:<id> "<marker's offset> <requested at>", complete also " <completed at>", which expires
            <prefix>:keeper       owner of the keeper's lease, expires
    state   <prefix>:active       number of the generation that is served and written; none written yet: 1
            <prefix>:retired      hash: by number of a generation, when it was given up (milliseconds)
            <prefix>:live         hash: by number of a generation, JSON of the model whose memory it is; none before the
                                  first rollout
            <prefix>:before       number of the generation that was active before the last switch between live models
            <prefix>:replicas     hash: by replica, "<milliseconds> <numbers of the generations it could serve now>"
            <prefix>:beside       hash: by replica, JSON: by generation, its lists beside those of the active one
            <prefix>:skipped      hash: reasons by offset of records that could not be applied; belongs to the log
      of a generation, <g> = <prefix>:<number>
            <g>:meta              hash: the position's fields, epoch, feed (id of its newest entry), late (events)
            <g>:offset            the position's offset again, to be read in one MGET with a user
            <g>:lease             owner, expires
            <g>:ids               list of item ids by catalogue index
            <g>:pending           list of packed indexes: items whose open tick is not published
            <g>:feed              stream of item changes, fields previous (id of the entry before), entry
            <g>:u:<user>  :i:<index>  :t:<index>  :c:<item id>     packed users, items, texts; catalogue JSON
      of profiles, which belong to no generation, <p> = <prefix>:profile
            <p>:u:<user>          packed profile, as a profiler made it
            <p>:e:<user>          JSON: what a person or an editor changed
            <p>:due               sorted set of users by rank and milliseconds since when
            <p>:later             sorted set of users by the milliseconds at which they are due again
            <p>:claimed           sorted set of users by the milliseconds at which a worker's lease ends
            <p>:claims, :tries    hashes by user: token of the claim; times claimed without success
            <p>:dead              hash by user: JSON, why they could not be described
            <p>:feeder            owner of the lease of the one who feeds the queue, expires
            <p>:cursor            "<log id> <offset>" up to which the queue was fed
            <p>:tokens:<day>      tokens set aside on a day since 1970, expires
      of what was shown, in no generation either, <s> = <prefix>:shown
            <s>:ids               list of request ids, oldest first: what bounds the others; expires
            <s>:r:<request>       JSON of the list as it was answered, expires
            <s>:o:<request>       hash: "<event type> <item id>" of events that named the request, expires
            <s>:x:<request>:<what>  it has counted for that in its experiment, expires
      of experiments, <e> = <prefix>:experiment
            <e>s                  hash by id: JSON of the experiment
            <e>:<id>:counts       hash: "<variant> <what> ..." and how many; expires
            <e>:<id>:users        bitmap of users by hash, expires
            <e>:<id>:of:<variant> about how many items were shown (HyperLogLog), expires

Log and state may share a server and a prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

from service.core.types import Backlog, Erasure, Position, Totals

RESETTING = "resetting"
"""What the position's bundle reads while a reset is under way: no bundle's hash."""
FIRST = 1
"""Number of a deployment's first generation."""
FEED_START = "0-0"
"""The feed's cursor before its first entry."""

_POSITION = ("offset", "log_time", "tick", "item_count", "log_id", "bundle")


class LogKeys:
    """Keys of the log. prefix: letters, digits, `_`, `.` and `-`."""

    def __init__(self, prefix: str) -> None:
        self.stream = f"{prefix}:log"
        self.meta = f"{prefix}:log:meta"
        self.recent = f"{prefix}:log:recent"
        self.dedupe = f"{prefix}:d:"
        self.copy = f"{prefix}:log:copy"
        self.erasures = f"{prefix}:erasures"
        self.keeper = f"{prefix}:keeper"
        self._erasure = f"{prefix}:erasure:"

    def erasure(self, erasure_id: str) -> str:
        return self._erasure + erasure_id


def unpack_erasures(erasure_ids: Sequence[str], values: Sequence[bytes | None]) -> list[Erasure]:
    """Those that there are, in order of their markers."""
    pairs = zip(erasure_ids, values, strict=True)
    found = (Erasure(erasure_id, *map(int, value.split())) for erasure_id, value in pairs if value is not None)
    return sorted(found, key=lambda erasure: erasure.offset)


class StateKeys:
    """Keys of one generation of the state, and those that all share. prefix: letters, digits, `_`, `.` and `-`."""

    def __init__(self, prefix: str, generation: int = FIRST) -> None:
        self.active = f"{prefix}:active"
        self.retired = f"{prefix}:retired"
        self.live = f"{prefix}:live"
        self.before = f"{prefix}:before"
        self.replicas = f"{prefix}:replicas"
        self.beside = f"{prefix}:beside"
        self.generations = f"{prefix}:"
        self.skipped = f"{prefix}:skipped"
        self._own = own = f"{prefix}:{generation}"
        self.meta = f"{own}:meta"
        self.offset = f"{own}:offset"
        self.lease = f"{own}:lease"
        self.ids = f"{own}:ids"
        self.feed = f"{own}:feed"
        self.pending = f"{own}:pending"
        self.records_pattern = f"{own}:[uitc]:*"
        self.pattern = f"{own}:*"
        self._user = f"{own}:u:".encode()

    def user(self, user_id: bytes) -> bytes:
        """user_id: in UTF-8."""
        return self._user + user_id

    def item(self, index: int) -> str:
        return f"{self._own}:i:{index}"

    def text(self, index: int) -> str:
        return f"{self._own}:t:{index}"

    def document(self, item_id: str) -> str:
        return f"{self._own}:c:{item_id}"


class ProfileKeys:
    """Keys of the profiles and of the queue of those that are due."""

    def __init__(self, prefix: str) -> None:
        self._own = own = f"{prefix}:profile"
        self.due = f"{own}:due"
        self.later = f"{own}:later"
        self.claimed = f"{own}:claimed"
        self.claims = f"{own}:claims"
        self.tries = f"{own}:tries"
        self.dead = f"{own}:dead"
        self.feeder = f"{own}:feeder"
        self.cursor = f"{own}:cursor"
        self.counts = f"{own}:counts"
        self.queue = (self.due, self.later, self.claimed, self.claims, self.tries, self.dead)
        self.records = f"{own}:"
        self.made_pattern = f"{own}:u:*"

    def made(self, user_id: str) -> str:
        return f"{self._own}:u:{user_id}"

    def edits(self, user_id: str) -> str:
        return f"{self._own}:e:{user_id}"

    def tokens(self, day: int) -> str:
        return f"{self._own}:tokens:{day}"


class ImpressionKeys:
    """Keys of what was shown."""

    def __init__(self, prefix: str) -> None:
        self._own = f"{prefix}:shown"
        self.ring = f"{self._own}:ids"
        self.own = f"{self._own}:"

    def shown(self, request_id: str) -> str:
        return f"{self._own}:r:{request_id}"

    def outcomes(self, request_id: str) -> str:
        return f"{self._own}:o:{request_id}"


class ExperimentKeys:
    """Keys of experiments."""

    def __init__(self, prefix: str) -> None:
        self._own = f"{prefix}:experiment"
        self.all = f"{self._own}s"

    def counts(self, experiment: str) -> str:
        return f"{self._own}:{experiment}:counts"

    def users(self, experiment: str) -> str:
        return f"{self._own}:{experiment}:users"

    def covered(self, experiment: str, variant: str) -> str:
        return f"{self._own}:{experiment}:of:{variant}"


def read_position(keys: StateKeys) -> tuple[str, ...]:
    """The command whose answer `unpack_position` reads."""
    return ("HMGET", keys.meta, *_POSITION)


def pack_position(position: Position) -> list[str]:
    """The six texts that the functions store."""
    return [str(getattr(position, field)) for field in _POSITION]


def position_fields(position: Position) -> list[str]:
    """Field, text, field, text, ... as HSET takes them."""
    return [text for field in _POSITION for text in (field, str(getattr(position, field)))]


def unpack_position(values: Sequence[bytes | None]) -> Position:
    """Fields that were never written keep `Position`'s defaults."""
    given = {field: value.decode() for field, value in zip(_POSITION, values, strict=True) if value is not None}
    default = Position()
    return Position(
        offset=int(given.get("offset", default.offset)),
        log_time=int(given.get("log_time", default.log_time)),
        tick=int(given.get("tick", default.tick)),
        item_count=int(given.get("item_count", default.item_count)),
        log_id=given.get("log_id", default.log_id),
        bundle=given.get("bundle", default.bundle),
    )


def read_backlog(keys: LogKeys) -> tuple[str, ...]:
    """The command whose answer `unpack_backlog` reads."""
    return ("HMGET", keys.meta, "offset", "applied", "pressure")


def unpack_backlog(values: Sequence[bytes | None]) -> Backlog:
    end, applied, pressure = values
    return Backlog(int(end or 0), int(applied or 0), (pressure or b"").decode())


def read_totals(keys: StateKeys) -> tuple[str, ...]:
    """The command whose answer `unpack_totals` reads."""
    return ("HMGET", keys.meta, "offset", "item_count", "epoch", "late")


def unpack_totals(values: Sequence[bytes | None], skipped: int) -> Totals:
    offset, items, epoch, late = (int(value or 0) for value in values)
    return Totals(offset, items, epoch, late, skipped)


@cache
def library() -> str:
    """Source of the server-side functions. Its names hold its digest, so releases can share a server."""
    return _source().replace("@VERSION@", _version())


def function_name(name: str) -> str:
    """Full name of the function that the library registers as `name`."""
    return f"peregrine_{_version()}_{name}"


@cache
def _source() -> str:
    folder = Path(__file__).parent
    return "\n".join(
        (folder / name).read_text(encoding="utf-8")
        for name in ("functions.lua", "live_models.lua", "profiles.lua", "impressions.lua", "experiments.lua")
    )


@cache
def _version() -> str:
    return sha256(_source().encode()).hexdigest()[:12]
