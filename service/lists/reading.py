"""What the state knows of users: their record and pairs, the profile beside them, and how far it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import structlog

from model.process.batch import Users
from model.process.records import PAIR, SWITCHED_OFF, Float, Records, new_users
from model.process.temporal_model import TemporalModel
from model.spec import FACETS
from service.core.blobs import unpack_users
from service.core.log_records import UnreadableRecord
from service.core.profiles import Origin, unpack_stored
from service.errors import StoreUnavailable
from service.ports import StateReader, UserRead

log = structlog.get_logger("peregrine.reading")


@dataclass(frozen=True, slots=True)
class Known:
    """B users as the state knows them; whoever it does not know is blank. committed: the state's offset; facets:
    (B, 4, d_f) text embeddings of the profiles, zero where there is none; origins: where each profile that is used
    comes from; dead: of each, the stages without which the user was read.
    """

    users: Users
    committed: int
    facets: Float
    origins: tuple[Origin | None, ...]
    dead: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.users)

    def some(self, start: int, stop: int) -> Known:
        """The users [start, stop); their records are shared."""
        users, starts = self.users, self.users.starts[start : stop + 1]
        chosen = Users(users.rows[start:stop], users.pairs[starts[0] : starts[-1]], starts - starts[0])
        return Known(chosen, self.committed, self.facets[start:stop], self.origins[start:stop], self.dead[start:stop])

    def one(self, place: int) -> Known:
        return self.some(place, place + 1)

    def copy(self) -> Known:
        """The same, with records of its own."""
        users = self.users
        return replace(self, users=Users(users.rows.copy(), users.pairs.copy(), users.starts.copy()))

    def is_off(self, place: int = 0) -> bool:
        """Whether the user at `place` is switched off."""
        return bool(self.users.rows["flags"][place] & SWITCHED_OFF)


def join(some: Sequence[Known]) -> Known:
    """All of their users, one after the other."""
    if len(some) == 1:
        return some[0]
    starts = np.cumsum([0, *(len(one.users.pairs) for one in some)])
    users = Users(
        _joined([one.users.rows for one in some]),
        _joined([one.users.pairs for one in some]),
        np.concatenate([[0], *(one.users.starts[1:] + start for one, start in zip(some, starts, strict=False))]),
    )
    return Known(
        users,
        min(one.committed for one in some),
        np.concatenate([one.facets for one in some]),
        tuple(origin for one in some for origin in one.origins),
        tuple(dead for one in some for dead in one.dead),
    )


def _joined(parts: Sequence[Records]) -> Records:
    """One after the other; numpy's own way compares all fields of all parts first."""
    return np.frombuffer(bytearray().join([part.tobytes() for part in parts]), dtype=parts[0].dtype)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A user to be read."""

    user_id: str
    reader: StateReader
    model: TemporalModel


async def read_together(wanted: Sequence[Wanted]) -> list[Known | None]:
    """Each as `read_users` would read it alone, those of one generation in one round trip."""
    found: dict[int, Known | None] = {}
    for reader in {id(one.reader): one.reader for one in wanted}.values():
        places = [place for place, one in enumerate(wanted) if one.reader is reader]
        model = wanted[places[0]].model
        try:
            reads = await reader.users([wanted[place].user_id for place in places])
        except StoreUnavailable as exc:
            log.warning("state_not_read", reason=str(exc), users=len(places))
            continue
        found |= zip(places, _each(reads, model), strict=True)
    return [found.get(place) for place in range(len(wanted))]


def _each(reads: Sequence[UserRead], model: TemporalModel) -> list[Known | None]:
    """Unpacked together; if one cannot be read, each alone, so that it costs the others nothing."""
    whole = _known(reads, model)
    if whole is None:
        return [_known([read], model) for read in reads] if len(reads) > 1 else [None]
    return [whole.one(place) for place in range(len(reads))]


async def read_users(user_ids: Sequence[str], reader: StateReader, model: TemporalModel) -> Known | None:
    """One round trip for up to a thousand users; None if the state cannot tell."""
    try:
        return _known(await reader.users(user_ids), model)
    except StoreUnavailable as exc:
        log.warning("state_not_read", reason=str(exc))
        return None


def _known(reads: Sequence[UserRead], model: TemporalModel) -> Known | None:
    try:
        blobs = [read.blob for read in reads]
        if None in blobs:
            blank = new_users(1, model.spec, model.initial_user).tobytes()
            blobs = [blob or blank for blob in blobs]
        users = unpack_users([blob for blob in blobs if blob is not None], model.spec)
    except UnreadableRecord as exc:
        log.warning("state_not_read", reason=str(exc))
        return None
    facets, origins, dead = _profiles(reads, users, model)
    return Known(users, min(read.committed for read in reads), facets, origins, dead)


def guest(offset: int, model: TemporalModel) -> Known:
    """Somebody of whom nothing is known."""
    users = Users.gather(new_users(1, model.spec, model.initial_user), [np.empty(0, PAIR)])
    return Known(users, offset, _no_facets(1, model), (None,), ((),))


def _profiles(
    reads: Sequence[UserRead], users: Users, model: TemporalModel
) -> tuple[Float, tuple[Origin | None, ...], tuple[tuple[str, ...], ...]]:
    """Facets and origins of the profiles; one that cannot be read is none, and the stage is named."""
    facets = _no_facets(len(reads), model)
    dead: list[tuple[str, ...]] = [()] * len(reads)
    origins: list[Origin | None] = [None] * len(reads)
    for place in range(len(reads)):
        read = reads[place]
        if read.profile is None or users.rows["flags"][place] & SWITCHED_OFF:
            continue
        try:
            stored = unpack_stored(read.profile, read.edits)
        except UnreadableRecord as exc:
            log.warning("profile_not_read", reason=str(exc))
            dead[place] = ("profile",)
            continue
        usable = stored.inputs(model.spec.embedder, model.spec.facet_dim)
        if usable is not None and stored.profile is not None:
            facets[place], origins[place] = usable[0], stored.profile.origin
    return facets, tuple(origins), tuple(dead)


def _no_facets(count: int, model: TemporalModel) -> Float:
    return np.zeros((count, len(FACETS), model.spec.facet_dim), np.float32)
