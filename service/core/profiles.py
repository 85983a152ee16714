"""A user's profile: four facets in words and as vectors, what they were made from, and what a person has changed.

The vector of a facet is the normalised mean of its phrases' vectors. What a person or an editor overrode or blocked is
kept apart from what a profiler made, and wins over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from pydantic_core import from_json, to_json

from model.process.records import Float
from model.spec import FACETS
from service.core.log_records import UnreadableRecord

Facets = Mapping[str, tuple[str, ...]]
"""Phrases by facet; of what a person changed only the facets they changed, () for a blocked one."""

_VERSION = 1
_WITH_OTHERS = 2
"""Of a profile that has vectors of several embedders."""
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
    memory: (d,) the user's when the profile was made; also: by another embedder, its (4, d) of the same phrases."""

    facets: Facets
    embedded: Facets
    vectors: Float
    memory: Float
    origin: Origin
    also: Mapping[str, Float] = field(default_factory=dict)

    def vectors_of(self, embedder: str | None) -> Float | None:
        """(4, d) of `embedded`; None if that embedder made none."""
        if embedder is None:
            return None
        return self.vectors if self.origin.maker.embedder == embedder else self.also.get(embedder)


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
        vectors = None if profile is None else profile.vectors_of(embedder)
        if profile is None or vectors is None or vectors.shape[1] != width:
            return None
        facets = self.facets
        current = [bool(facets[name]) and profile.embedded.get(name) == facets[name] for name in FACETS]
        if not any(current):
            return None
        return np.where(np.array(current)[:, None], vectors, np.float32(0.0))[None]


def in_force(made: Facets, edits: Facets) -> dict[str, tuple[str, ...]]:
    """The edits, and what was made where there are none."""
    return {facet: tuple(edits.get(facet, made.get(facet, ()))) for facet in FACETS}


def pack_profile(profile: Profile) -> bytes:
    """Version, JSON, a zero byte, then the vectors that are not zero and the memory as half-precision floats."""
    facets, embedded = (
        {name: list(phrases) for name, phrases in f.items()} for f in (profile.facets, profile.embedded)
    )
    shape, arrays = _pack_vectors(profile.vectors)
    head: dict[str, Any] = {"facets": facets, "embedded": embedded} | shape | asdict(profile.origin)
    if profile.also:
        packed = {embedder: _pack_vectors(vectors) for embedder, vectors in profile.also.items()}
        head["also"] = {embedder: shape for embedder, (shape, _) in packed.items()}
        arrays += b"".join(part for _, part in packed.values())
    version = _WITH_OTHERS if profile.also else _VERSION
    return bytes([version]) + to_json(head) + b"\0" + arrays + profile.memory.astype(_KEPT).tobytes()


def _pack_vectors(vectors: Float) -> tuple[dict[str, Any], bytes]:
    """Their width and the rows that are not zero, and these."""
    rows = np.flatnonzero(vectors.any(axis=1)).tolist()
    return {"width": vectors.shape[1], "rows": rows}, vectors[rows].astype(_KEPT).tobytes()


def unpack_profile(blob: bytes) -> Profile:
    text, _, data = blob[1:].partition(b"\0")
    head = from_json(text)
    arrays = np.frombuffer(data, _KEPT).astype(np.float32)
    found, at = [], 0
    for shape in (head, *head.get("also", {}).values()):
        rows, width = shape["rows"], shape["width"]
        vectors = np.zeros((len(FACETS), width), np.float32)
        vectors[rows] = arrays[at : at + len(rows) * width].reshape(-1, width)
        found.append(vectors)
        at += len(rows) * width
    plain = {name: head[name] for name in ("bundle", "offset", "events", "input_hash", "made_at")}
    origin = Origin(maker=Maker(**head["maker"]), items=tuple(head["items"]), **plain)
    facets, embedded = _phrases(head["facets"]), _phrases(head["embedded"])
    also = dict(zip(head.get("also", {}), found[1:], strict=True))
    return Profile(facets, embedded, found[0], arrays[at:], origin, also)


def pack_edits(edits: Facets) -> bytes:
    return to_json({name: list(phrases) for name, phrases in edits.items()})


def unpack_stored(profile: bytes | None, edits: bytes | None) -> StoredProfile:
    """What two packed halves hold. A profile of another release is none: it will be made anew. Raises
    UnreadableRecord."""
    readable = profile is not None and profile[:1] in {bytes([_VERSION]), bytes([_WITH_OTHERS])}
    try:
        return StoredProfile(
            unpack_profile(profile) if profile is not None and readable else None,
            _phrases(from_json(edits)) if edits else {},
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise UnreadableRecord(f"the profile of a user cannot be read: {type(exc).__name__}: {exc}") from exc


def _phrases(facets: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(phrases) for name, phrases in facets.items()}
