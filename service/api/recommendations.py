"""GET /v1/users/{id}/recommendations: the Top-K of a user at this moment. The hot route: bytes go out as made."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from service.api.patterns import PLAIN
from service.api.read_schemas import RecommendationAnswer, RecommendationQuery
from service.api.services import ApiServices, services_of
from service.core.times import format_time
from service.request_path import Recommendation, recommend
from service.request_path import Request as Asked

router = APIRouter(tags=["recommendations"])

VARIANT = "default"
UserId = Annotated[
    str, Path(min_length=1, max_length=256, pattern=PLAIN, description="Any id; unknown users get a list, too.")
]


@router.get(
    "/v1/users/{user_id:path}/recommendations",
    summary="What a user should see now",
    response_model=RecommendationAnswer,
    responses={**{status: {} for status in (409, 422, 503)}},
)
async def get_recommendations(
    request: Request, user_id: UserId, query: Annotated[RecommendationQuery, Query()]
) -> Response:
    """The best items for a user, best first. Server-Timing tells what each stage took."""
    services = services_of(request)
    asked = Asked(user_id, query.k, query.at, query.exclude_seen, query.min_offset, query.explain)
    found = await recommend(asked, services.serving)
    started = time.perf_counter()
    body = _body(found, services, request.state.request_id)
    found.stages["serialise"] = time.perf_counter() - started
    timing = ", ".join(f"{stage};dur={1000 * seconds:.3f}" for stage, seconds in found.stages.items())
    return Response(body, headers={"server-timing": timing}, media_type="application/json")


def _body(found: Recommendation, services: ApiServices, request_id: str) -> bytes:
    ranked = zip(found.item_ids, found.scores, range(1, len(found.item_ids) + 1), strict=True)
    items: list[dict[str, object]] = [
        {"item_id": item_id, "score": score, "rank": rank} for item_id, score, rank in ranked
    ]
    for item, reason in zip(items, found.reasons, strict=False):  # none, or one for each
        item["reason"] = reason
    return to_json(
        {
            "request_id": request_id,
            "items": items,
            "model": {"version": services.version, "variant": VARIANT},
            "strategy": found.strategy,
            "personalised": found.personalised,
            "degraded": found.degraded,
            "state": {
                "events_seen": found.events_seen,
                "last_event_at": _shown(found.last_event_at),
                "offset": found.offset,
                "items_as_of": _shown(found.items_as_of),
                "profile_source": found.profile.maker.source if found.profile else None,
                "profile_made_at": _shown(found.profile.made_at) if found.profile else None,
                "stale": found.stale,
            },
        }
    )


def _shown(seconds: int | None) -> str | None:
    return None if seconds is None else format_time(seconds)
