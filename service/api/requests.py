"""GET /v1/requests/{id}: what was shown for a request, and what came of it."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.responses import Response

from service.api.patterns import PLAIN
from service.api.problems import Problem
from service.api.services import services_of
from service.core.impressions import Shown
from service.core.times import format_time

router = APIRouter(tags=["recommendations"])

RequestId = Annotated[
    str, Path(min_length=1, max_length=256, pattern=PLAIN, description="`request_id` of an answer with a list.")
]


class ShownItem(BaseModel):
    item_id: str
    rank: int
    pinned: bool
    explored: bool
    outcomes: dict[str, int] = Field(description="Events with this item that named the request, by type.")


class ShownAnswer(BaseModel):
    """For whom the list was is not kept."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": "0199aa11-7c0f-7b2e-9c55-6f1de0b6b0a4",
                    "at": "2026-01-31T12:00:00Z",
                    "strategy": "model",
                    "model": "2026-01-30",
                    "items": [
                        {"item_id": "shoe-42", "rank": 1, "pinned": False, "explored": False, "outcomes": {"click": 1}}
                    ],
                    "elsewhere": {},
                }
            ]
        }
    )

    request_id: str
    at: str
    strategy: str
    model: str
    items: list[ShownItem]
    elsewhere: dict[str, int] = Field(description="Events that named the request with items it had not shown, by type.")


@router.get(
    "/v1/requests/{request_id:path}",
    summary="What was shown, and what came of it",
    response_model=ShownAnswer,
    responses={**{status: {} for status in (404, 422, 503)}},
)
async def get_request(request: Request, request_id: RequestId) -> Response:
    """A list as it was answered, with the events that named its `request_id` since. Kept for a time, of the newest
    requests; written within moments of the answer."""
    store = services_of(request).attribution.store
    found = None if store is None else await store.read(request_id)
    if found is None:
        raise Problem(404, f"nothing is known of request {request_id!r}: too old, or never answered with a list")
    return Response(to_json(_answer(found)), media_type="application/json")


def _answer(found: Shown) -> dict[str, Any]:
    shown = found.impression
    by_item: dict[str, dict[str, int]] = {item_id: {} for item_id in shown.item_ids}
    elsewhere: Counter[str] = Counter()
    for (kind, item_id), count in found.outcomes.items():
        if item_id in by_item:
            by_item[item_id][kind] = count
        else:
            elsewhere[kind] += count
    return {
        "request_id": shown.request_id,
        "at": format_time(shown.at),
        "strategy": shown.strategy,
        "model": shown.version,
        "items": [
            {
                "item_id": item_id,
                "rank": rank,
                "pinned": item_id in shown.pinned,
                "explored": item_id in shown.explored,
                "outcomes": outcomes,
            }
            for rank, (item_id, outcomes) in enumerate(by_item.items(), shown.first)
        ],
        "elsewhere": elsewhere,
    }
