"""What may be asked of a list: filters, rules, what-ifs. Every option stands in a body, in a placement, or in both."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from service.api.patterns import CURSOR, EVENT_TYPE, PLAIN
from service.api.schemas import Id, Timestamp
from service.core.attributes import Scalar
from service.core.cursors import LENGTH
from service.core.filters import EVERYTHING, Match

MAX_LIST = 1_000
"""Items in one list with rules."""
MAX_IDS = 1_000
MAX_RULES = 20
MAX_PINS = 50
MAX_VALUES = 100
MAX_EVENTS = 200
MAX_USERS = 1_000
YEARS = 3_200_000_000
"""Seconds: a century."""


def _several(value: Any) -> Any:
    """One value stands for a list of one."""
    return [value] if isinstance(value, str | int | float) else value


Text = Annotated[str, Field(max_length=200, pattern=PLAIN)]
Texts = Annotated[list[Text], BeforeValidator(_several), Field(min_length=1, max_length=MAX_VALUES)]
Ids = Annotated[list[Id], Field(min_length=1, max_length=MAX_IDS)]
Value = str | int | float | bool
Values = Annotated[list[Value], BeforeValidator(_several), Field(min_length=1, max_length=MAX_VALUES)]
Seconds = Annotated[int, Field(ge=0, le=YEARS)]
Price = Annotated[float, Field(ge=0, le=1e12)]
Cursor = Annotated[str, Field(min_length=1, max_length=LENGTH, pattern=CURSOR)]
Seed = Annotated[int, Field(ge=0, le=2**53)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class MatchIn(_Asked):
    """An item matches if it fulfils every condition given; of several values of one, any will do."""

    model_config = ConfigDict(
        title="Match",
        json_schema_extra={
            "examples": [
                {"category": ["shoes", "boots"], "tags": "vegan", "max_price": 100, "attributes": {"colour": "green"}}
            ]
        },
    )

    item_ids: Ids | None = None
    category: Texts | None = None
    brand: Texts | None = None
    tags: Texts | None = Field(None, description="Any of these.")
    all_tags: Texts | None = Field(None, description="All of these.")
    attributes: Annotated[dict[Text, Values], Field(min_length=1, max_length=10)] | None = Field(
        None,
        description="By name: a text, a number or a truth value, or several. Of an item's list, any element will do.",
    )
    min_price: Price | None = Field(None, description="An item without a price does not match.")
    max_price: Price | None = None
    max_age: Seconds | None = Field(
        None,
        description="Seconds since the item's release (`available_from`) or its first event, whichever is earlier.",
    )

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must name a condition: it would match every item")
        return self

    def match(self) -> Match:
        """As the core has it."""
        return Match(
            item_ids=tuple(self.item_ids or ()),
            category=tuple(self.category or ()),
            brand=tuple(self.brand or ()),
            tags=tuple(self.tags or ()),
            all_tags=tuple(self.all_tags or ()),
            attributes=tuple((name, _scalars(values)) for name, values in (self.attributes or {}).items()),
            min_price=self.min_price,
            max_price=self.max_price,
            max_age=self.max_age,
        )


def _scalars(values: list[Value]) -> tuple[Scalar, ...]:
    return tuple(values)


class BoostIn(MatchIn):
    """Multiplies the odds of the items that match: a factor of 2 makes each twice as likely, 0.5 half as likely."""

    model_config = ConfigDict(title="Boost", json_schema_extra={"examples": [{"brand": "Kestrel", "factor": 2}]})

    factor: Annotated[float, Field(ge=0.001, le=1_000)]

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.model_fields_set == {"factor"}:
            raise ValueError("must name a condition: it would match every item")
        return self


class PinIn(_Asked):
    """The item at this rank, from 1, whatever the filters and the user's history say; never one that is hidden, expired
    or not yet released."""

    model_config = ConfigDict(title="Pin", json_schema_extra={"examples": [{"item_id": "shoe-42", "rank": 1}]})

    item_id: Id
    rank: Annotated[int, Field(ge=1, le=MAX_LIST)]


class CapsIn(_Asked):
    """Items of one category, or of one brand, at most; those without one are not counted."""

    model_config = ConfigDict(title="Caps", json_schema_extra={"examples": [{"category": 3}]})

    category: Annotated[int, Field(ge=1, le=MAX_LIST)] | None = None
    brand: Annotated[int, Field(ge=1, le=MAX_LIST)] | None = None


class ListOptions(_Asked):
    """What a placement may say, and every request for a list."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "k": 12,
                    "exclude_seen": True,
                    "exclude_seen_for": 2_592_000,
                    "filter": {"category": ["shoes", "boots"], "max_price": 150},
                    "hide": [{"tags": "adult"}],
                    "boosts": [{"brand": "Kestrel", "factor": 1.5}],
                    "pins": [{"item_id": "shoe-42", "rank": 1}],
                    "caps": {"brand": 3},
                    "diversity": 0.3,
                    "exploration": 0.1,
                    "seed": 7,
                }
            ]
        }
    )

    k: Annotated[int, Field(ge=1, le=MAX_LIST)] = Field(20, description="Items at most.")
    exclude_seen: bool = Field(False, description="Leave out what the user already had.")
    exclude_seen_for: Seconds | None = Field(
        None, description="With exclude_seen: only what the user had in the last so many seconds is left out."
    )
    filter: MatchIn | None = Field(None, description="The list is chosen from the items that match.")
    include_ids: Ids | None = Field(None, description="The list is chosen from these items.")
    exclude_ids: Annotated[list[Id], Field(max_length=MAX_IDS)] = Field([], description="Never in the list.")
    hide: Annotated[list[MatchIn], Field(max_length=MAX_RULES)] = Field(
        [], description="What matches one of these is never in the list, pinned or not."
    )
    boosts: Annotated[list[BoostIn], Field(max_length=MAX_RULES)] = Field(
        [], description="Their factors multiply where several match an item."
    )
    pins: Annotated[list[PinIn], Field(max_length=MAX_PINS)] = []
    caps: CapsIn | None = None
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="0: by score alone. Above, each place goes to the item with the highest (1 - diversity) relevance "
        "- diversity likeness to those before it (maximal marginal relevance).",
    )
    exploration: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="Share of the places that go to items drawn evenly from all that may be in the list, marked "
        "`explored`.",
    )
    seed: Seed | None = Field(
        None, description="Of the draws; the same seed draws the same. Default: a new one, which the answer names."
    )

    @model_validator(mode="after")
    def _pins_agree(self) -> Self:
        items, ranks = [pin.item_id for pin in self.pins], [pin.rank for pin in self.pins]
        if len(set(items)) < len(items) or len(set(ranks)) < len(ranks):
            raise ValueError("pins must have different items and different ranks")
        if both := set(items) & set(self.exclude_ids):
            raise ValueError(f"item {min(both)!r} is pinned and in exclude_ids")
        return self

    @property
    def only(self) -> Match:
        return EVERYTHING if self.filter is None else self.filter.match()


class WhatIfEvent(_Asked):
    """An event that is applied to a copy of the user and forgotten."""

    model_config = ConfigDict(
        title="WhatIfEvent",
        json_schema_extra={"examples": [{"item_id": "shoe-42", "type": "view", "timestamp": "2026-01-31T12:00:00Z"}]},
    )

    item_id: Id
    type: Annotated[str, Field(pattern=EVENT_TYPE)] = "view"
    timestamp: Timestamp | None = Field(None, description="Default: the moment that the list is asked for.")
    value: Annotated[float, Field(ge=-1e12, le=1e12)] = 0.0


class _Moment(_Asked):
    at: Timestamp | None = Field(
        None, description="The moment to answer for, from the user's last event on (earlier: 409). Default: now."
    )
    min_offset: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(
        0, description="An `offset` that must be in the answer; after 100 ms without it the answer says stale=true."
    )


class _OneUser(_Moment):
    user_id: Id | None = Field(None, description="Without one: a guest, of whom only `events` are known.")
    events: Annotated[list[WhatIfEvent], Field(max_length=MAX_EVENTS)] = Field(
        [],
        description="Applied to a copy of the user by the same graphs, and never stored: a guest's session, or a "
        "what-if. Those of unknown items are passed over.",
    )
    explain: bool = Field(False, description="With the parts that each item's score is the sum of.")


class RecommendIn(_OneUser, ListOptions):
    """Who the list is for, and what is asked of it."""

    model_config = ConfigDict(
        title="RecommendRequest",
        json_schema_extra={
            "examples": [
                {"user_id": "u-17", "k": 12, "filter": {"category": "shoes"}, "diversity": 0.3, "caps": {"brand": 3}},
                {"events": [{"item_id": "shoe-42", "type": "view"}], "k": 6},
                {"user_id": "u-17", "placement": "home", "exploration": 0.1, "seed": 7},
                {"user_id": "u-17", "events": [{"item_id": "shoe-42", "type": "purchase"}], "exclude_seen": True},
            ]
        },
    )

    placement: Text | None = Field(None, description="A named configuration; what stands here beside it wins.")
    variant: Text | None = Field(
        None, description="Of the experiment that runs, in place of the user's own; such a list does not count."
    )
    cursor: Cursor | None = Field(
        None, description="Of the answer before: the next items, none of which the session was shown."
    )


class BatchIn(_Moment, ListOptions):
    """Lists of many users, made together."""

    model_config = ConfigDict(
        title="BatchRequest",
        json_schema_extra={"examples": [{"user_ids": ["u-17", "u-18"], "k": 10, "exclude_seen": True}]},
    )

    user_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_USERS)]
    placement: Text | None = None


class RankIn(_OneUser):
    """Items to bring into the user's order."""

    model_config = ConfigDict(
        title="RankRequest",
        json_schema_extra={"examples": [{"user_id": "u-17", "item_ids": ["shoe-42", "shoe-43", "boot-7"]}]},
    )

    item_ids: Ids
