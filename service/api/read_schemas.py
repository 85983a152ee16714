"""What is answered about lists and users."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ReasonAnswer(BaseModel):
    """Parts that add up to an item's score. What memory, facets and items carry is what the score loses when the user
    is embedded without them; facets and items name up to three each, those that raise the score most."""

    popularity: float = Field(description="What the item's recent popularity adds, weighed for this user.")
    again: float = Field(description="What the user's own events with this item add.")
    boost: float = Field(description="Of the boosts that match, as the log of their factors.")
    anyone: float = Field(description="What somebody of whom nothing is known would get beside it.")
    memory: float = Field(description="Carried by the user's memory.")
    facets: dict[str, float] = Field(description="Carried by facets of the profile, most first.")
    items: dict[str, float] = Field(description="Carried by items of the user's newest events, most first.")
    rest: float = Field(description="What the others carry only together, and all that is not named.")


class RecommendedItem(BaseModel):
    item_id: str
    score: float = Field(description="Log odds, up to a constant; under `popular` and `fallback` a count.")
    rank: int = Field(description="From 1; a session's next page goes on counting.")
    pinned: bool | None = Field(None, description="true: it stands here because a pin says so.")
    explored: bool | None = Field(None, description="true: it was drawn, not ranked.")
    reason: ReasonAnswer | None = Field(None, description="Only with explain, and where the model ranked.")


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
    degraded: list[str] = Field(
        description="Stages that are dead: items (being loaded), state (the store), embed (the temporal embedding), "
        "pairs (repeat consumption), events (what-ifs), profile."
    )
    state: ListState
    cursor: str | None = Field(
        None, description="Asks for the next items of this session; null, or absent, when there is no next page."
    )
    seed: int | None = Field(None, description="Of the exploration; only where there is some.")


class BatchList(BaseModel):
    """One user's list; the fields are those of a single answer."""

    user_id: str
    request_id: str = Field(description="Of this list, for events that it leads to.")
    items: list[RecommendedItem]
    strategy: Literal["model", "impersonal", "popular", "fallback"]
    personalised: bool
    events_seen: int
    last_event_at: str | None
    degraded: list[str]


class BatchState(BaseModel):
    offset: int
    items_as_of: str | None
    stale: bool


class BatchAnswer(BaseModel):
    """Lists in the order of the users."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": "0199aa11-7c0f-7b2e-9c55-6f1de0b6b0a4",
                    "results": [
                        {
                            "user_id": "u-17",
                            "request_id": "0199aa11-7c0f-7b2e-9c55-6f1de0b6b0a4.0",
                            "items": [{"item_id": "shoe-42", "score": 3.25, "rank": 1}],
                            "strategy": "model",
                            "personalised": True,
                            "events_seen": 12,
                            "last_event_at": "2026-01-31T12:00:00Z",
                            "degraded": [],
                        }
                    ],
                    "model": {"version": "2026-01-30", "variant": "default"},
                    "state": {"offset": 4711, "items_as_of": "2026-01-31T12:00:03Z", "stale": False},
                }
            ]
        }
    )

    request_id: str
    results: list[BatchList]
    model: ModelInfo
    state: BatchState
    seed: int | None = Field(None, description="Of the exploration; only where there is some.")


class RankAnswer(RecommendationAnswer):
    """The given items in the user's order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": "0199aa11-7c0f-7b2e-9c55-6f1de0b6b0a4",
                    "items": [
                        {"item_id": "boot-7", "score": 3.25, "rank": 1},
                        {"item_id": "shoe-42", "score": 1.5, "rank": 2},
                    ],
                    "model": {"version": "2026-01-30", "variant": "default"},
                    "strategy": "model",
                    "personalised": True,
                    "degraded": [],
                    "state": {
                        "events_seen": 12,
                        "last_event_at": "2026-01-31T12:00:00Z",
                        "offset": 4711,
                        "items_as_of": "2026-01-31T12:00:03Z",
                        "profile_source": None,
                        "profile_made_at": None,
                        "stale": False,
                    },
                    "left_out": ["shoe-43"],
                }
            ]
        }
    )

    left_out: list[str] = Field(description="Items that are unknown, hidden, expired or not released.")


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
