"""What the state knows of users: their record and pairs, the profile beside them, and how far it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import structlog

from model.process.batch import Users
from model.process.records import PAIR, SWITCHED_OFF, Float, new_users
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
    comes from; dead: stages without which the users were read.
    """

    users: Users
    committed: int
    facets: Float
    origins: tuple[Origin | None, ...]
    dead: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.users)

    def some(self, start: int, stop: int) -> Known:
        """The users [start, stop); their records are shared."""
        users, starts = self.users, self.users.starts[start : stop + 1]
        chosen = Users(users.rows[start:stop], users.pairs[starts[0] : starts[-1]], starts - starts[0])
        return replace(self, users=chosen, facets=self.facets[start:stop], origins=self.origins[start:stop])

    def one(self, place: int) -> Known:
        return self.some(place, place + 1)

    @property
    def is_off(self) -> bool:
        """Whether the first user is switched off."""
        return bool(self.users.rows["flags"][0] & SWITCHED_OFF)


async def read_users(user_ids: Sequence[str], reader: StateReader, model: TemporalModel) -> Known | None:
    """One round trip for up to a thousand users; None if the state cannot tell."""
    try:
        reads = await reader.users(user_ids)
        blank = new_users(1, model.spec, model.initial_user).tobytes()
        users = unpack_users([read.blob or blank for read in reads], model.spec)
    except (StoreUnavailable, UnreadableRecord) as exc:
        log.warning("state_not_read", reason=str(exc))
        return None
    facets, origins, dead = _profiles(reads, users, model)
    return Known(users, min(read.committed for read in reads), facets, origins, dead)


def guest(offset: int, model: TemporalModel) -> Known:
    """Somebody of whom nothing is known."""
    users = Users.gather(new_users(1, model.spec, model.initial_user), [np.empty(0, PAIR)])
    return Known(users, offset, _no_facets(1, model), (None,))


def _profiles(
    reads: Sequence[UserRead], users: Users, model: TemporalModel
) -> tuple[Float, tuple[Origin | None, ...], tuple[str, ...]]:
    """Facets and origins of the profiles; one that cannot be read is none, and the stage is named."""
    facets, dead = _no_facets(len(reads), model), False
    origins: list[Origin | None] = [None] * len(reads)
    for place in range(len(reads)):
        read = reads[place]
        if read.profile is None or users.rows["flags"][place] & SWITCHED_OFF:
            continue
        try:
            stored = unpack_stored(read.profile, read.edits)
        except UnreadableRecord as exc:
            log.warning("profile_not_read", reason=str(exc))
            dead = True
            continue
        usable = stored.inputs(model.spec.embedder, model.spec.facet_dim)
        if usable is not None and stored.profile is not None:
            facets[place], origins[place] = usable[0], stored.profile.origin
    return facets, tuple(origins), ("profile",) if dead else ()


def _no_facets(count: int, model: TemporalModel) -> Float:
    return np.zeros((count, len(FACETS), model.spec.facet_dim), np.float32)
