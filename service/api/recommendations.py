"""Lists for one user: GET, the hot route, whose bytes go out as made, and POST, which takes every option."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic_core import to_json
from starlette.responses import Response

from service.api.bare_route import BareRoute
from service.api.bodies import read_model
from service.api.ids import uuid7
from service.api.list_answers import answer_of, batch_of, impression_of, next_cursor, timed
from service.api.list_queries import PlainQuery, RecommendationQuery
from service.api.list_requests import asked_of, options_of, served_of, what_ifs
from service.api.list_schemas import BatchIn, RankIn, RecommendIn
from service.api.openapi import one_body
from service.api.patterns import PLAIN
from service.api.placements import with_placement
from service.api.problems import FieldError, Problem
from service.api.queries import query_parameters, read_query
from service.api.read_schemas import BatchAnswer, RankAnswer, RecommendationAnswer
from service.api.services import ApiServices, services_of
from service.batch_path import recommend_many
from service.core.cursors import CursorRefused, nothing_served
from service.core.rules import Rules
from service.request_path import Request as Asked
from service.request_path import recommend
from service.trials import Seat, UnknownVariant

router = APIRouter(tags=["recommendations"], route_class=BareRoute)

_PLAIN = frozenset(PlainQuery.model_fields)
"""Parameters that need no rules."""
LONGEST_ID = 256
UserId = Annotated[
    str, Path(min_length=1, max_length=LONGEST_ID, pattern=PLAIN, description="Any id; unknown users get a list, too.")
]


@router.get(
    "/v1/users/{user_id:path}/recommendations",
    summary="What a user should see now",
    response_model=RecommendationAnswer,
    responses={**{status: {} for status in (409, 422, 503)}},
    openapi_extra=query_parameters(RecommendationQuery),
)
async def get_recommendations(request: Request, user_id: UserId) -> Response:
    """The best items for a user, best first. Server-Timing tells what each stage took."""
    services = services_of(request)
    if request.query_params.keys() <= _PLAIN:
        plain = read_query(request, PlainQuery)
        asked = Asked(user_id, plain.k, plain.at, plain.exclude_seen, plain.min_offset, plain.explain)
        return await _answer(request, asked, seat_of(services, user_id, None), services)
    query = read_query(request, RecommendationQuery)
    options = with_placement(options_of(query), query.placement, services.placements)
    served = served_of(query.cursor, user_id, services)
    asked = asked_of(user_id, options, query.at, query.min_offset, served, (), query.explain)
    return await _answer(request, asked, seat_of(services, user_id, query.variant), services)


@router.post(
    "/v1/recommendations",
    summary="What a user or guest should see now, under rules",
    response_model=RecommendationAnswer,
    responses={**{status: {} for status in (409, 413, 415, 422, 503)}},
    openapi_extra=one_body(RecommendIn),
)
async def post_recommendations(request: Request) -> Response:
    """The same with filters, pins, boosts, caps, diversity, exploration and what-if events. Nothing is stored."""
    services = services_of(request)
    body = await read_model(request, services.settings.max_body, RecommendIn)
    options = with_placement(body, body.placement, services.placements)
    served = served_of(body.cursor, body.user_id or "", services)
    events = what_ifs(body.events, body.at, services)
    asked = asked_of(body.user_id, options, body.at, body.min_offset, served, events, body.explain)
    return await _answer(request, asked, seat_of(services, body.user_id, body.variant), services)


@router.post(
    "/v1/rank",
    summary="Given items in a user's order",
    response_model=RankAnswer,
    responses={**{status: {} for status in (409, 413, 415, 422, 503)}},
    openapi_extra=one_body(RankIn),
)
async def post_rank(request: Request) -> Response:
    """The given items, best first for this user or guest; `left_out` names those that no list may hold now."""
    services = services_of(request)
    body = await read_model(request, services.settings.max_body, RankIn)
    rules = Rules(include_ids=tuple(body.item_ids))
    events = what_ifs(body.events, body.at, services)
    asked = Asked(
        body.user_id, len(body.item_ids), body.at, False, body.min_offset, body.explain,
        disliked=True, rules=rules, events=events,
    )  # fmt: skip
    seat = seat_of(services, body.user_id, None)
    found = await recommend(asked, seat.line.serving)
    ranked = set(found.item_ids)
    left_out = [item_id for item_id in dict.fromkeys(body.item_ids) if item_id not in ranked]
    answer = answer_of(found, seat, request.state.request_id, 1) | {"left_out": left_out}
    services.attribution.note(impression_of(found, seat, request.state.request_id, 1))
    return timed(services, [found], to_json(answer))


@router.post(
    "/v1/recommendations/batch",
    summary="Lists of up to 1,000 users",
    response_model=BatchAnswer,
    responses={**{status: {} for status in (409, 413, 415, 422, 503)}},
    openapi_extra=one_body(BatchIn),
)
async def post_batch(request: Request) -> Response:
    """The lists that each of the users would get, made together: for mails, caches, exports."""
    services = services_of(request)
    body = await read_model(request, services.settings.max_body, BatchIn)
    options = with_placement(body, body.placement, services.placements)
    asked = asked_of(None, options, body.at, body.min_offset, nothing_served(), ())
    seat = seat_of(services, None, None)
    found = await recommend_many(body.user_ids, asked, seat.line.serving)
    stem = uuid7()
    list_ids = [f"{stem}.{place}" for place in range(len(found))]
    batch = batch_of(body.user_ids, list_ids, found, seat, request.state.request_id)
    for list_id, one in zip(list_ids, found, strict=True):
        services.attribution.note(impression_of(one, seat, list_id, 1))
    if options.exploration and asked.rules is not None:
        batch["seed"] = asked.rules.seed
    return timed(services, found, to_json(batch))


async def _answer(request: Request, asked: Asked, seat: Seat, services: ApiServices) -> Response:
    try:
        found = await recommend(asked, seat.line.serving)
    except CursorRefused as exc:
        raise Problem(422, f"cursor: {exc}", [FieldError(field="cursor", message=str(exc))]) from exc
    started = time.perf_counter()
    answer = answer_of(found, seat, request.state.request_id, len(asked.served) + 1)
    if asked.rules is not None:
        answer["cursor"] = next_cursor(found, asked, services)
        if asked.rules.exploration:
            answer["seed"] = asked.rules.seed
    body = to_json(answer)
    found.stages["serialise"] = time.perf_counter() - started
    services.attribution.note(impression_of(found, seat, request.state.request_id, len(asked.served) + 1))
    if services.followed is not None:
        services.followed.listed(found.user_offset, getattr(request.state, "trace", None))
    if seat.experiment is not None:
        seconds, fallback = sum(found.stages.values()), found.strategy == "fallback"
        services.trials.note(seat, seat.exposure(fallback, seconds, tuple(found.item_ids)))
    return timed(services, [found], body)


def seat_of(services: ApiServices, user_id: str | None, variant: str | None) -> Seat:
    """What the list is made with: the user's variant of the experiment that runs, or the one that is asked for."""
    try:
        return services.trials.seat(user_id, variant)
    except UnknownVariant as exc:
        raise Problem(422, f"variant: {exc}", [FieldError(field="variant", value=variant, message=str(exc))]) from exc
