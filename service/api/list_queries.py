"""What a list is asked for in a query string."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from service.api.list_schemas import MAX_IDS, MAX_LIST, MAX_VALUES, YEARS, Cursor, MatchIn
from service.api.patterns import NAME_AND_VALUE, PLAIN
from service.api.schemas import TIME, Id, listed
from service.core.times import parse_time

MAX_K = 10_000
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?")
_Label = Annotated[str, Field(max_length=200, pattern=PLAIN)]
_Pair = Annotated[str, Field(max_length=400, pattern=NAME_AND_VALUE)]
Texts = Annotated[list[_Label], Field(max_length=MAX_VALUES)]
IdList = Annotated[list[Id], BeforeValidator(listed), Field(max_length=MAX_IDS)]


def _query_time(text: str) -> int:
    """A query string holds numbers as text, and a `+` that was not escaped as a space."""
    try:
        number = float(text)
    except ValueError:
        return parse_time(text.replace(" ", "+"))
    return parse_time(number)


QueryTime = Annotated[int, BeforeValidator(_query_time), TIME]


class FilterQuery(BaseModel):
    """Conditions on items. Of several values of one, any will do; repeat the parameter."""

    model_config = ConfigDict(extra="forbid")

    category: Texts = Field([], examples=[["shoes"]])
    brand: Texts = Field([], examples=[["Kestrel"]])
    tag: Texts = Field([], examples=[["vegan"]])
    attribute: Annotated[list[_Pair], Field(max_length=MAX_VALUES)] = Field(
        [], description="name:value", examples=[["colour:green"]]
    )
    min_price: float | None = Field(None, ge=0, le=1e12)
    max_price: float | None = Field(None, ge=0, le=1e12, examples=[150])
    max_age: int | None = Field(None, ge=0, le=YEARS, description="Seconds since the item's release or first event.")

    def match(self) -> MatchIn | None:
        """None without a condition. Raises ValidationError."""
        fields: dict[str, Any] = {"category": self.category, "brand": self.brand, "tags": self.tag}
        fields |= {"min_price": self.min_price, "max_price": self.max_price, "max_age": self.max_age}
        fields["attributes"] = attributes_of(self.attribute)
        given = {name: value for name, value in fields.items() if value not in (None, [], {})}
        return MatchIn.model_validate(given) if given else None


def attributes_of(pairs: list[str]) -> dict[str, list[str | float | bool]]:
    """`name:value` texts by name; a value that reads as a number or a truth value stands for that, too."""
    found: dict[str, list[str | float | bool]] = {}
    for pair in pairs:
        name, _, text = pair.partition(":")
        found.setdefault(name, []).append(text)
        if _NUMBER.fullmatch(text):
            found[name].append(float(text))
        elif text in {"true", "false"}:
            found[name].append(text == "true")
    return found


class PlainQuery(BaseModel):
    """What a list may be asked for without a rule."""

    model_config = ConfigDict(extra="forbid")

    k: int = Field(20, ge=1, le=MAX_K, description="Items at most.")
    at: QueryTime | None = Field(
        None,
        description="The moment to answer for, RFC 3339 or unix seconds; any from the user's last event on (earlier: "
        "409). Default: now. It moves the user's clock only; items are as of `items_as_of`.",
    )
    exclude_seen: bool = Field(False, description="Leave out what the user already had.")
    explain: bool = Field(False, description="With the parts that each item's score is the sum of.")
    min_offset: int = Field(
        0,
        ge=0,
        le=2**63 - 1,
        description="An `offset` that must be in the answer (read your writes); waits up to 100 ms for it, then "
        "answers with stale=true.",
    )


class RecommendationQuery(FilterQuery, PlainQuery):
    """And with rules."""

    exclude_seen_for: int | None = Field(
        None,
        ge=0,
        le=YEARS,
        description="With exclude_seen: only what the user had in the last so many seconds is left out.",
    )
    placement: str | None = Field(
        None, max_length=200, description="A named configuration; what stands beside it wins."
    )
    variant: str | None = Field(
        None,
        max_length=64,
        description="Of the experiment that runs, in place of the user's own; such a list does not count.",
    )
    include_ids: IdList = Field([], description="The list is chosen from these: comma-separated or repeated.")
    exclude_ids: IdList = Field([], description="Never in the list: comma-separated or repeated.")
    diversity: float = Field(0.0, ge=0, le=1, description="As in the body of the POST.")
    exploration: float = Field(0.0, ge=0, le=1, description="As in the body of the POST.")
    seed: int | None = Field(None, ge=0, le=2**53, description="Of the exploration.")
    cap_category: int | None = Field(None, ge=1, le=MAX_LIST, description="Items of one category at most.")
    cap_brand: int | None = Field(None, ge=1, le=MAX_LIST, description="Items of one brand at most.")
    paging: bool = Field(
        False, description="Answer with a cursor for the next page; a list with options always has one."
    )
    cursor: Cursor | None = Field(None, description="Of the answer before.")
    options: str | None = Field(
        None,
        max_length=16_000,
        description="More options as JSON, as in the body of the POST: pins, boosts, hide, ...",
        examples=['{"pins": [{"item_id": "shoe-42", "rank": 1}], "hide": [{"tags": "adult"}]}'],
    )
