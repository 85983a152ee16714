"""What is asked and answered about lists that are nobody's own."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.list_queries import FilterQuery
from service.api.list_schemas import MAX_LIST

_REQUEST = "0199aa11-7c0f-7b2e-9c55-6f1de0b6b0a4"


class ShelfQuery(FilterQuery):
    k: int = Field(20, ge=1, le=MAX_LIST, description="Items at most.")


class TrendingQuery(ShelfQuery):
    by: Literal["counts", "velocity"] = Field(
        "counts", description="counts: the rise of events. velocity: how fast the item's memory moves."
    )


class ShelfAnswer(BaseModel):
    request_id: str = Field(description="For events that this list leads to.")


class SimilarItem(BaseModel):
    item_id: str
    rank: int
    score: float = Field(description="Cosine of the two items' vectors.")


class SimilarAnswer(ShelfAnswer):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": _REQUEST,
                    "item_id": "shoe-42",
                    "items": [{"item_id": "boot-7", "rank": 1, "score": 0.93}],
                }
            ]
        }
    )

    item_id: str
    items: list[SimilarItem]


class SimilarUsersQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    k: int = Field(20, ge=1, le=300, description="Users at most.")


class SimilarUser(BaseModel):
    user_id: str
    rank: int
    score: float = Field(description="Cosine of the two users' embeddings.")


class SimilarUsersAnswer(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user_id": "u-17", "users": [{"user_id": "u-18", "rank": 1, "score": 0.93}], "among": 20_000}]
        }
    )

    user_id: str
    users: list[SimilarUser]
    among: int = Field(description="Users that this process remembers: whose lists it made lately, 20,000 at most.")


class TrendingItem(BaseModel):
    item_id: str
    rank: int
    rise: float = Field(description="Rate of events of the last day or so over that of the last month; 1 is as usual.")
    velocity: float = Field(description="Distance a day that its vector moves, since this process loaded the items.")
    count: float = Field(description="Events, with a half-life of 7 days.")


class TrendingAnswer(ShelfAnswer):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": _REQUEST,
                    "by": "counts",
                    "items": [{"item_id": "shoe-42", "rank": 1, "rise": 6.5, "velocity": 0.8, "count": 41.0}],
                }
            ]
        }
    )

    by: Literal["counts", "velocity"]
    items: list[TrendingItem]


class PopularItem(BaseModel):
    item_id: str
    rank: int
    count: float = Field(description="Events, with a half-life of 7 days.")


class PopularAnswer(ShelfAnswer):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": _REQUEST,
                    "items": [{"item_id": "shoe-42", "rank": 1, "count": 41.0}],
                }
            ]
        }
    )

    items: list[PopularItem]


class LatestItem(BaseModel):
    item_id: str
    rank: int
    since: str | None = Field(description="Release or first event, whichever came first.")


class LatestAnswer(ShelfAnswer):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": _REQUEST,
                    "items": [{"item_id": "shoe-42", "rank": 1, "since": "2026-01-31T12:00:00Z"}],
                }
            ]
        }
    )

    items: list[LatestItem]
