"""What the service says, as far as the client reads it. Fields it does not know are left out: a newer service may send
more."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

Json = dict[str, Any]


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Accepted(Answer):
    """Of a POST of events. offset: the log's, of the newest accepted one; applied: None unless it was waited for."""

    accepted: int
    duplicates: int = 0
    rejected: int = 0
    errors: list[Json] = []
    offset: int = 0
    applied: bool | None = None


class Recommended(Answer):
    item_id: str
    score: float
    rank: int
    pinned: bool | None = None
    explored: bool | None = None
    reason: Json | None = None
    """Parts that add up to the score: only where they were asked for, and where the model ranked."""


class Model(Answer):
    version: str | None = None
    variant: str | None = None


class ListState(Answer):
    """What the list was made from. offset: all events up to it are in; items_as_of: the log's time, RFC 3339."""

    events_seen: int = 0
    last_event_at: str | None = None
    offset: int = 0
    items_as_of: str | None = None
    stale: bool = False
    profile_source: str | None = None
    profile_made_at: str | None = None


class Recommendations(Answer):
    request_id: str
    items: list[Recommended]
    model: Model
    strategy: str
    personalised: bool = True
    degraded: list[str] = []
    state: ListState
    cursor: str | None = None
    """Asks for the next page; None where there is none, or none was asked for."""


class Status(Answer):
    """An answer read for its status and whatever else it says. ok: False for 503."""

    ok: bool
    body: Json
