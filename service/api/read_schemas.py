"""What is asked for and answered about users, and about the service itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from service.api.schemas import TIME
from service.core.times import parse_time

MAX_K = 10_000


def _query_time(text: str) -> int:
    """A query string holds numbers as text, and a `+` that was not escaped as a space."""
    try:
        number = float(text)
    except ValueError:
        return parse_time(text.replace(" ", "+"))
    return parse_time(number)


QueryTime = Annotated[int, BeforeValidator(_query_time), TIME]


class RecommendationQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    k: int = Field(20, ge=1, le=MAX_K, description="Items at most.")
    at: QueryTime | None = Field(
        None,
        description="The moment to answer for, RFC 3339 or unix seconds; any from the user's last event on (earlier: "
        "409). Default: now. It moves the user's clock only; items are as of `items_as_of`.",
    )
    exclude_seen: bool = Field(False, description="Leave out what the user already had.")
    explain: bool = Field(
        False, description="With what carried each item's score: facets of the profile, and the user's newest events."
    )
    min_offset: int = Field(
        0,
        ge=0,
        le=2**63 - 1,
        description="An `offset` that must be in the answer (read your writes); waits up to 100 ms for it, then "
        "answers with stale=true.",
    )


class ReasonAnswer(BaseModel):
    """What of the user carried an item's score, as the score that would go without it; what lowers it is left out."""

    facets: dict[str, float] = Field(description="By facet of the profile, most first.")
    items: dict[str, float] = Field(description="By item of the user's newest events, most first.")
    again: float = Field(description="What the user's own events with this item add.")


class RecommendedItem(BaseModel):
    item_id: str
    score: float
    rank: int
    reason: ReasonAnswer | None = Field(None, description="Only with explain=true, and where the model ranked.")


class ModelInfo(BaseModel):
    version: str
    variant: str


class ListState(BaseModel):
    """What a list was made from. offset: all events up to it are in; items_as_of: the log's time of the items;
    profile_*: null for a list without a profile."""

    events_seen: int
    last_event_at: str | None
    offset: int
    items_as_of: str | None
    profile_source: Literal["extractive", "chat"] | None
    profile_made_at: str | None
    stale: bool


class RecommendationAnswer(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": "0199aa11-7c0f-7b2e-9c55-6f1de0b6b0a4",
                    "items": [{"item_id": "shoe-42", "score": 3.25, "rank": 1}],
                    "model": {"version": "2026-01-30", "variant": "default"},
                    "strategy": "model",
                    "personalised": True,
                    "degraded": [],
                    "state": {
                        "events_seen": 12,
                        "last_event_at": "2026-01-31T12:00:00Z",
                        "offset": 4711,
                        "items_as_of": "2026-01-31T12:00:03Z",
                        "profile_source": "chat",
                        "profile_made_at": "2026-01-31T11:00:00Z",
                        "stale": False,
                    },
                }
            ]
        }
    )

    request_id: str
    items: list[RecommendedItem]
    model: ModelInfo
    strategy: Literal["model", "impersonal", "popular", "fallback"] = Field(
        description="model: the model ranked. impersonal: it ranked as for an unknown user, for this one is switched "
        "off. popular: there is no bundle yet. fallback: popular items, because a stage named in `degraded` is dead."
    )
    personalised: bool = Field(
        description="false: nothing about this user went into the list, because of the off switch or of a dead stage."
    )
    degraded: list[str]
    state: ListState


class UserQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pairs: bool = Field(False, description="With the counts of every item of the user's history.")


class Neighbour(BaseModel):
    item_id: str
    type: str
    at: str


class Pair(BaseModel):
    """What the user did with one item. moments: distinct times at which it happened."""

    item_id: str
    count: int
    moments: int
    first_at: str
    last_at: str


class UserAnswer(BaseModel):
    """What is known of a user. moments: distinct times; items: distinct items; late: events behind the log's time."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "u-17",
                    "personalised": True,
                    "events": 12,
                    "moments": 5,
                    "items": 9,
                    "late": 0,
                    "evicted": 0,
                    "last_event_at": "2026-01-31T12:00:00Z",
                    "offset": 4711,
                    "neighbours": [{"item_id": "shoe-42", "type": "purchase", "at": "2026-01-31T12:00:00Z"}],
                }
            ]
        }
    )

    user_id: str
    personalised: bool = Field(description="false: switched off; nothing is learned of this user.")
    events: int
    moments: int
    items: int
    late: int
    evicted: int = Field(description="Items forgotten at the cap of the history.")
    last_event_at: str | None
    offset: int
    neighbours: list[Neighbour] = Field(description="The most recent items, newest first: what the model looks at.")
    pairs: list[Pair] | None = None


class Ready(BaseModel):
    """offset: of the items served; log_end: newest offset in the log; lag: what lies between; refusing: why no events
    are taken for now, null when they are; tick: number of the item tick that the vectors are visible in, null before
    the first event."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "ready": True,
                    "items": 4056,
                    "offset": 4711,
                    "log_end": 4711,
                    "lag": 0,
                    "refusing": None,
                    "tick": 491631,
                    "model": "2026-01-30",
                }
            ]
        }
    )

    ready: Literal[True]
    items: int
    offset: int
    log_end: int
    lag: int
    refusing: str | None
    tick: int | None
    model: str


class Live(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "alive"}]})

    status: Literal["alive"]


class Version(BaseModel):
    """bundle: hash of the weights; `none` without a bundle."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "peregrine",
                    "version": "0.1.0",
                    "model": "2026-01-30",
                    "preset": "peregrine",
                    "bundle": "9f2c...",
                }
            ]
        }
    )

    name: str
    version: str
    model: str
    preset: str
    bundle: str
