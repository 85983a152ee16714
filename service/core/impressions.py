"""What was shown for a request, and what came of it. Who it was shown to is not in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic_core import from_json, to_json


@dataclass(frozen=True, slots=True)
class Impression:
    """One list as it was answered. at: unix seconds; first: rank of its first item; explored, pinned: ids; experiment,
    variant, bucket: of the experiment it counts in, "" if none."""

    request_id: str
    at: int
    item_ids: tuple[str, ...]
    strategy: str
    version: str
    first: int = 1
    pinned: tuple[str, ...] = ()
    explored: tuple[str, ...] = ()
    experiment: str = ""
    variant: str = ""
    bucket: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """An event that names the request which led to it."""

    request_id: str
    type: str
    item_id: str


@dataclass(frozen=True, slots=True)
class Shown:
    """outcomes: events that named the request, by (type, item id)."""

    impression: Impression
    outcomes: Mapping[tuple[str, str], int]


def pack_impression(impression: Impression) -> bytes:
    return to_json(impression)


def unpack_impression(packed: bytes) -> Impression:
    fields = from_json(packed)
    lists = {name: tuple(fields[name]) for name in ("item_ids", "pinned", "explored")}
    return Impression(**fields | lists)


def pack_outcome(outcome: Outcome) -> str:
    """Field of the outcomes' hash; types hold no space."""
    return f"{outcome.type} {outcome.item_id}"


def unpack_outcome(field: bytes) -> tuple[str, str]:
    kind, _, item_id = field.decode().partition(" ")
    return kind, item_id
