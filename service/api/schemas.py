"""Events and items as they come in, and what became of them. Unknown fields are refused: a typo must not pass."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from service.api.patterns import EVENT_TYPE, PLAIN
from service.api.problems import FieldError
from service.core.times import parse_time

MAX_JSON = 4_096
"""Bytes of free JSON (properties, attributes) at most."""

TIME = WithJsonSchema(
    {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}], "title": "RFC 3339 or unix seconds"}
)


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(json.dumps(value, allow_nan=False, separators=(",", ":")))
    except ValueError as exc:
        raise ValueError("must not contain NaN or infinite numbers") from exc
    if size > MAX_JSON:
        raise ValueError(f"is {size} bytes of JSON, at most {MAX_JSON} fit")
    return value


def listed(value: Any) -> Any:
    return [part for text in value for part in text.split(",") if part] if isinstance(value, list) else value


Id = Annotated[str, Field(min_length=1, max_length=256, pattern=PLAIN)]
Tag = Annotated[str, Field(min_length=1, max_length=64, pattern=PLAIN)]
Label = Annotated[str, Field(max_length=128, pattern=PLAIN)]
Timestamp = Annotated[int, BeforeValidator(parse_time), TIME]
Properties = Annotated[dict[str, Any], AfterValidator(_bounded)]
Wait = Literal["logged", "applied"]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class EventIn(_In):
    """One thing a user did."""

    model_config = ConfigDict(
        title="Event",
        json_schema_extra={
            "examples": [
                {
                    "event_id": "order-1001-line-1",
                    "user_id": "u-17",
                    "item_id": "shoe-42",
                    "type": "purchase",
                    "timestamp": "2026-01-31T12:00:00Z",
                    "value": 89.9,
                    "session_id": "s-5",
                    "properties": {"channel": "app"},
                }
            ]
        },
    )

    event_id: Annotated[str, Field(min_length=1, max_length=128, pattern=PLAIN)] | None = Field(
        None,
        description="Idempotency key: an id that was accepted before is counted as a duplicate and has no effect. "
        "Without one, two equal posts are two events.",
    )
    user_id: Id
    item_id: Id
    type: Annotated[str, Field(pattern=EVENT_TYPE)] = Field(
        "view",
        description="view, click, cart, purchase, like, dislike, rating, or your own; a model treats types it was not "
        "trained on alike.",
    )
    timestamp: Timestamp | None = Field(
        None,
        description="When it happened; default: when it reaches the log. At most min(item tick, 5 minutes) from now.",
    )
    value: Annotated[float, Field(ge=-1e12, le=1e12)] = Field(0.0, description="Price, rating, seconds watched, ...")
    session_id: Label | None = None
    request_id: Label | None = Field(
        None, description="Of the list that led here: the event counts for it (`GET /v1/requests/{id}`)."
    )
    properties: Properties | None = Field(None, description=f"Free JSON, {MAX_JSON} bytes at most; kept in the log.")


class EventsAnswer(BaseModel):
    """What became of a batch: the good entries are accepted whatever the others are."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"accepted": 2, "duplicates": 0, "rejected": 0, "errors": [], "offset": 4711}]}
    )

    accepted: int = Field(description="New entries in the log; they cannot be lost any more.")
    duplicates: int = Field(description="Entries whose event_id was accepted before.")
    rejected: int
    errors: list[FieldError]
    offset: int = Field(description="The highest log offset among them, for `min_offset`.")
    applied: bool | None = Field(None, description="Whether they show in recommendations; only with wait=applied.")


class ItemFields(_In):
    """An item of the catalogue. A PUT replaces all of it."""

    model_config = ConfigDict(
        title="Item",
        json_schema_extra={
            "examples": [
                {
                    "title": "Trail running shoe",
                    "category": "shoes",
                    "brand": "Kestrel",
                    "text": "Light, for wet rock.",
                    "price": 89.9,
                    "tags": ["vegan", "new"],
                    "attributes": {"colour": "green", "sizes": [41, 42]},
                    "available_until": "2027-01-31T12:00:00Z",
                }
            ]
        },
    )

    title: Annotated[str, Field(max_length=500)] | None = None
    category: Annotated[str, Field(max_length=200)] | None = None
    brand: Annotated[str, Field(max_length=200)] | None = None
    text: Annotated[str, Field(max_length=10_000)] | None = None
    price: Annotated[float, Field(ge=0, le=1e12)] | None = None
    tags: Annotated[list[Tag], Field(max_length=32)] | None = None
    attributes: Properties | None = Field(
        None,
        description=f"Free JSON, {MAX_JSON} bytes at most. Lists filter by its texts, numbers, truth values, and by "
        "lists of such.",
    )
    hidden: bool | None = Field(None, description="true: in no list, from the next one on.")
    available_from: Timestamp | None = Field(
        None, description="Recommended from then on. Omitted: from now on. null: from its first event on."
    )
    available_until: Timestamp | None = Field(None, description="In no list from then on.")


class ItemPatch(ItemFields):
    """Fields to change: null takes one away, inside `attributes`, too; what is not named stays (RFC 7396)."""

    model_config = ConfigDict(
        title="ItemPatch", json_schema_extra={"examples": [{"price": 79.9, "attributes": {"colour": None}}]}
    )


class ItemLine(ItemFields):
    """A line of a bulk."""

    model_config = ConfigDict(
        title="ItemLine", json_schema_extra={"examples": [{"item_id": "shoe-42", "title": "Trail running shoe"}]}
    )

    item_id: Id


class ItemAnswer(BaseModel):
    """offset: the change's place in the log; applied: whether it shows (only with wait=applied)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"item_id": "shoe-42", "offset": 4712, "applied": True}]})

    item_id: str
    offset: int
    applied: bool | None = None


class ItemDocument(BaseModel):
    """An item as it was last put; fields that were not given are absent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"item_id": "shoe-42", "title": "Trail running shoe", "available_from": "2026-01-31T12:00:00Z"}
            ]
        }
    )

    item_id: str
    title: str | None = None
    category: str | None = None
    brand: str | None = None
    text: str | None = None
    price: float | None = None
    tags: list[str] | None = None
    attributes: dict[str, Any] | None = None
    hidden: bool | None = None
    available_from: str | None = None
    available_until: str | None = None


class ItemsAnswer(BaseModel):
    """The items asked for, in that order, and the ids that the catalogue does not have; or a page of all items."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [{"item_id": "shoe-42", "available_from": None}], "missing": ["shoe-43"]}]
        }
    )

    items: list[ItemDocument]
    missing: list[str] | None = None
    cursor: str | None = Field(None, description="Of a page: asks for the next one; null after the last.")


class ItemsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[Id], BeforeValidator(listed), Field(max_length=1_000)] | None = Field(
        None, description="Item ids, comma-separated or repeated. Without any: a page of all items."
    )
    limit: int = Field(100, ge=1, le=1_000, description="Items looked at for a page.")
    cursor: Id | None = Field(None, description="Of the page before.")

    @model_validator(mode="after")
    def _ids_or_page(self) -> Self:
        if self.ids is not None and (not self.ids or self.model_fields_set > {"ids"}):
            raise ValueError("ids must name items, and go without limit and cursor")
        return self


class WaitQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    wait: Wait = Field(
        "logged",
        description="logged: answer 202 as soon as nothing can be lost. applied: answer 200 once recommendations of "
        "this process show it, or 202 with applied=false after 2 seconds.",
    )


class PutQuery(WaitQuery):
    wait: Wait = Field("applied", description="As for events, but waiting is the default.")
