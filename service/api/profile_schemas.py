"""What is asked for and answered about a user's profile."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.profile_path.untrusted import PHRASE

Facet = Literal["crowd", "interest", "category", "brand"]
Phrase = Annotated[str, Field(min_length=1, max_length=PHRASE)]
MOST_PHRASES = 10


class ProfileEdits(BaseModel):
    """What a person or an editor wants otherwise. A PUT replaces all of it: facets that are not named are as made."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        title="ProfileEdits",
        json_schema_extra={
            "examples": [{"override": {"interest": ["trail running", "birdwatching"]}, "block": ["brand"]}]
        },
    )

    override: dict[Facet, Annotated[list[Phrase], Field(min_length=1, max_length=MOST_PHRASES)]] = Field(
        default_factory=dict,
        description="Phrases by facet, in place of those that were made; they stay over refreshes.",
    )
    block: list[Facet] = Field(
        default_factory=list, description="Facets that are to say nothing and to move no list; over refreshes, too."
    )

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if both := sorted(set(self.override) & set(self.block)):
            raise ValueError(f"{', '.join(both)}: overridden and blocked; keep one")
        return self


class FacetAnswer(BaseModel):
    """status: `made` by the profiler; `overridden` or `blocked` by a person or an editor."""

    phrases: list[str]
    status: Literal["made", "overridden", "blocked"]


class MadeFrom(BaseModel):
    """offset: of the log, all events up to it were seen; events: of the user, until then; items: newest first."""

    offset: int
    events: int
    items: list[str]
    input_hash: str


class ProfileAnswer(BaseModel):
    """A user's profile. What tells how it was made is null as long as only changes are stored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "u-17",
                    "facets": {
                        "crowd": {"phrases": ["weekend hikers"], "status": "made"},
                        "interest": {"phrases": ["trail running", "birdwatching"], "status": "overridden"},
                        "category": {"phrases": ["shoes"], "status": "made"},
                        "brand": {"phrases": [], "status": "blocked"},
                    },
                    "source": "chat",
                    "model": "small-instruct",
                    "prompt_version": "1",
                    "embedder": "use-multilingual-v3",
                    "made_at": "2026-01-31T12:00:00Z",
                    "age_seconds": 3600,
                    "made_from": {"offset": 4711, "events": 12, "items": ["shoe-42"], "input_hash": "9f2c..."},
                    "in_use": ["crowd", "category"],
                }
            ]
        }
    )

    user_id: str
    facets: dict[Facet, FacetAnswer]
    source: Literal["extractive", "chat"] | None = Field(
        description="extractive: categories, brands and key terms of the items. chat: a language model."
    )
    model: str | None
    prompt_version: str | None
    embedder: str | None
    made_at: str | None
    age_seconds: int | None
    made_from: MadeFrom | None
    in_use: list[Facet] = Field(
        description="Facets that lists are made with now. A facet that was just changed waits for its embedding; one "
        "that another embedder than the bundle's made is not used."
    )


class RefreshAnswer(BaseModel):
    """The user is first in the queue. A refresh from the same items asks nobody and changes nothing but the date."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "u-17", "status": "queued"}]})

    user_id: str
    status: Literal["queued"]


class ResetAnswer(BaseModel):
    """Profile and changes are gone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "u-17", "status": "reset"}]})

    user_id: str
    status: Literal["reset"]
