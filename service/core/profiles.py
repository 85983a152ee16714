"""A user's profile: four facets in words and as vectors, what they were made from, and what a person has changed.

The vector of a facet is the normalised mean of its phrases' vectors. What a person or an editor overrode or blocked is
kept apart from what a profiler made, and wins over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
from pydantic_core import from_json, to_json

from model.process.records import Float
from model.spec import FACETS
from service.core.log_records import UnreadableRecord

Facets = Mapping[str, tuple[str, ...]]
"""Phrases by facet; of what a person changed only the facets they changed, () for a blocked one."""

_VERSION = 1
_KEPT = np.dtype("<f2")  # half the bytes; the largest error of a unit vector's entry is below 3e-4


@dataclass(frozen=True, slots=True)
class Maker:
    """What makes profiles. Profiles of different makers are not compared; vectors of different embedders never meet.

    source: `extractive` or `chat`; prompt: version of the prompt, or of the rules.
    """

    source: str
    model: str
    prompt: str
    embedder: str


@dataclass(frozen=True, slots=True)
class Origin:
    """What a profile was made from. bundle: hash of the weights that `Profile.memory` belongs to; offset: all events of
    the log up to it were seen; events: of the user, until then; items: ids, newest first; made_at: unix seconds."""

    maker: Maker
    bundle: str
    offset: int
    events: int
    items: tuple[str, ...]
    input_hash: str
    made_at: int


@dataclass(frozen=True, slots=True)
class Profile:
    """facets: as the profiler made them; embedded: the phrases that `vectors` (4, d_f) are of, with what was changed;
    memory: (d,) the user's when the profile was made."""

    facets: Facets
    embedded: Facets
    vectors: Float
    memory: Float
    origin: Origin


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """What is stored of one user. edits: what a person or an editor changed."""

    profile: Profile | None = None
    edits: Facets = field(default_factory=dict)

    @property
    def facets(self) -> dict[str, tuple[str, ...]]:
        """What counts."""
        return in_force(self.profile.facets if self.profile else {}, self.edits)

    @property
    def is_embedded(self) -> bool:
        """Whether the vectors are those of what counts."""
        return self.profile is not None and dict(self.profile.embedded) == self.facets

    def inputs(self, embedder: str | None, width: int) -> Float | None:
        """(1, 4, width) facets for `embed_users`; None if nothing can be used.

        A facet that was changed since, one made by another embedder, and an empty one are zero.
        """
        profile = self.profile
        if profile is None or profile.origin.maker.embedder != embedder or profile.vectors.shape[1] != width:
            return None
        facets = self.facets
        current = [bool(facets[name]) and profile.embedded.get(name) == facets[name] for name in FACETS]
        if not any(current):
            return None
        return np.where(np.array(current)[:, None], profile.vectors, np.float32(0.0))[None]


def in_force(made: Facets, edits: Facets) -> dict[str, tuple[str, ...]]:
    """The edits, and what was made where there are none."""
    return {facet: tuple(edits.get(facet, made.get(facet, ()))) for facet in FACETS}


def pack_profile(profile: Profile) -> bytes:
    """Version, JSON, a zero byte, then the vectors that are not zero and the memory as half-precision floats."""
    facets, embedded = (
        {name: list(phrases) for name, phrases in f.items()} for f in (profile.facets, profile.embedded)
    )
    rows = np.flatnonzero(profile.vectors.any(axis=1)).tolist()
    head = {"facets": facets, "embedded": embedded, "width": profile.vectors.shape[1], "rows": rows}
    head |= asdict(profile.origin)
    arrays = profile.vectors[rows].astype(_KEPT).tobytes() + profile.memory.astype(_KEPT).tobytes()
    return bytes([_VERSION]) + to_json(head) + b"\0" + arrays


def unpack_profile(blob: bytes) -> Profile:
    text, _, data = blob[1:].partition(b"\0")
    head = from_json(text)
    arrays = np.frombuffer(data, _KEPT).astype(np.float32)
    rows, width = head["rows"], head["width"]
    vectors = np.zeros((len(FACETS), width), np.float32)
    vectors[rows] = arrays[: len(rows) * width].reshape(-1, width)
    plain = {name: head[name] for name in ("bundle", "offset", "events", "input_hash", "made_at")}
    origin = Origin(maker=Maker(**head["maker"]), items=tuple(head["items"]), **plain)
    facets, embedded = _phrases(head["facets"]), _phrases(head["embedded"])
    return Profile(facets, embedded, vectors, arrays[len(rows) * width :], origin)


def pack_edits(edits: Facets) -> bytes:
    return to_json({name: list(phrases) for name, phrases in edits.items()})


def unpack_stored(profile: bytes | None, edits: bytes | None) -> StoredProfile:
    """What two packed halves hold. A profile of another release is none: it will be made anew. Raises
    UnreadableRecord."""
    readable = profile is not None and profile[:1] == bytes([_VERSION])
    try:
        return StoredProfile(
            unpack_profile(profile) if profile is not None and readable else None,
            _phrases(from_json(edits)) if edits else {},
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise UnreadableRecord(f"the profile of a user cannot be read: {type(exc).__name__}: {exc}") from exc


def _phrases(facets: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(phrases) for name, phrases in facets.items()}
