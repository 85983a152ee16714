"""Lists for one user: GET, the hot route, whose bytes go out as made, and POST, which takes every option."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import ValidationError
from pydantic_core import from_json, to_json
from starlette.responses import Response

from service.api.bodies import read_model
from service.api.list_queries import PlainQuery, RecommendationQuery
from service.api.list_schemas import BatchIn, ListOptions, RankIn, RecommendIn, WhatIfEvent
from service.api.openapi import one_body
from service.api.patterns import PLAIN
from service.api.placements import with_placement
from service.api.problems import FieldError, Problem, field_errors, show
from service.api.queries import query_parameters, read_query
from service.api.read_schemas import BatchAnswer, RankAnswer, RecommendationAnswer
from service.api.services import ApiServices, services_of
from service.batch_path import recommend_many
from service.core import cursors
from service.core.cursors import CursorRefused, Served
from service.core.rules import Rules
from service.core.times import format_time
from service.lists.what_if import WhatIf
from service.request_path import Recommendation, recommend
from service.request_path import Request as Asked

router = APIRouter(tags=["recommendations"])

VARIANT = "default"
UserId = Annotated[
    str, Path(min_length=1, max_length=256, pattern=PLAIN, description="Any id; unknown users get a list, too.")
]
_OPTIONS = {"k", "exclude_seen", "exclude_seen_for", "diversity", "exploration", "seed", "include_ids", "exclude_ids"}
_SEEDS = 2**53


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
    if request.query_params.keys() <= PlainQuery.model_fields.keys():
        plain = read_query(request, PlainQuery)
        asked = Asked(user_id, plain.k, plain.at, plain.exclude_seen, plain.min_offset)
        return await _answer(request, asked, services)
    query = read_query(request, RecommendationQuery)
    options = with_placement(_options_of(query), query.placement, services.placements)
    served = _served(query.cursor, user_id, services)
    asked = asked_of(user_id, options, query.at, query.min_offset, served, ())
    return await _answer(request, asked, services)


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
    served = _served(body.cursor, body.user_id or "", services)
    events = what_ifs(body.events, body.at, services)
    asked = asked_of(body.user_id, options, body.at, body.min_offset, served, events)
    return await _answer(request, asked, services)


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
        body.user_id, len(body.item_ids), body.at, False, body.min_offset, disliked=True, rules=rules, events=events
    )
    found = await recommend(asked, services.serving)
    ranked = set(found.item_ids)
    left_out = [item_id for item_id in dict.fromkeys(body.item_ids) if item_id not in ranked]
    answer = answer_of(found, services, request.state.request_id, 1) | {"left_out": left_out}
    return timed(found, to_json(answer))


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
    asked = asked_of(None, options, body.at, body.min_offset, cursors.nothing_served(), ())
    found = await recommend_many(body.user_ids, asked, services.serving)
    results = [
        {
            "user_id": user_id,
            "items": items_of(one, 1),
            "strategy": one.strategy,
            "personalised": one.personalised,
            "events_seen": one.events_seen,
            "last_event_at": _shown(one.last_event_at),
            "degraded": one.degraded,
        }
        for user_id, one in zip(body.user_ids, found, strict=True)
    ]
    answer = answer_of(found[0], services, request.state.request_id, 1)
    shared = {name: answer["state"][name] for name in ("offset", "items_as_of", "stale")}
    batch = {"request_id": answer["request_id"], "results": results, "model": answer["model"], "state": shared}
    if options.exploration and asked.rules is not None:
        batch["seed"] = asked.rules.seed
    return timed(found[0], to_json(batch))


async def _answer(request: Request, asked: Asked, services: ApiServices) -> Response:
    try:
        found = await recommend(asked, services.serving)
    except CursorRefused as exc:
        raise Problem(422, f"cursor: {exc}", [FieldError(field="cursor", message=str(exc))]) from exc
    started = time.perf_counter()
    answer = answer_of(found, services, request.state.request_id, len(asked.served) + 1)
    if asked.rules is not None:
        answer["cursor"] = _next(found, asked, services)
        if asked.rules.exploration:
            answer["seed"] = asked.rules.seed
    body = to_json(answer)
    found.stages["serialise"] = time.perf_counter() - started
    return timed(found, body)


def timed(found: Recommendation, body: bytes) -> Response:
    """The response, with what each stage took."""
    timing = ", ".join(f"{stage};dur={1000 * seconds:.3f}" for stage, seconds in found.stages.items())
    return Response(body, headers={"server-timing": timing}, media_type="application/json")


def answer_of(found: Recommendation, services: ApiServices, request_id: str, first: int) -> dict[str, Any]:
    """first: rank of the first item."""
    return {
        "request_id": request_id,
        "items": items_of(found, first),
        "model": {"version": services.version, "variant": VARIANT},
        "strategy": found.strategy,
        "personalised": found.personalised,
        "degraded": found.degraded,
        "state": {
            "events_seen": found.events_seen,
            "last_event_at": _shown(found.last_event_at),
            "offset": found.offset,
            "items_as_of": _shown(found.items_as_of),
            "stale": found.stale,
        },
    }


def items_of(found: Recommendation, first: int) -> list[dict[str, Any]]:
    ranked = zip(found.item_ids, found.scores, range(first, first + len(found.item_ids)), strict=True)
    items: list[dict[str, Any]] = [
        {"item_id": item_id, "score": score, "rank": rank} for item_id, score, rank in ranked
    ]
    if found.pinned or found.explored:
        for item in items:
            if item["item_id"] in found.pinned:
                item["pinned"] = True
            elif item["item_id"] in found.explored:
                item["explored"] = True
    return items


def asked_of(
    user_id: str | None,
    options: ListOptions,
    at: int | None,
    min_offset: int,
    served: Served,
    events: tuple[WhatIf, ...],
) -> Asked:
    """What the request path is asked for."""
    return Asked(
        user_id,
        options.k,
        at,
        options.exclude_seen,
        min_offset,
        seen_within=options.exclude_seen_for,
        rules=rules_of(options),
        served=served,
        events=events,
    )


def rules_of(options: ListOptions) -> Rules:
    caps = {} if options.caps is None else options.caps.model_dump(exclude_none=True)
    return Rules(
        only=options.only,
        include_ids=tuple(options.include_ids or ()),
        hide=tuple(match.match() for match in options.hide),
        exclude_ids=tuple(options.exclude_ids),
        boosts=tuple((boost.match(), boost.factor) for boost in options.boosts),
        pins=tuple((pin.item_id, pin.rank) for pin in options.pins),
        caps=tuple(caps.items()),
        diversity=options.diversity,
        exploration=options.exploration,
        seed=secrets.randbelow(_SEEDS) if options.seed is None else options.seed,
    )


def what_ifs(events: list[WhatIfEvent], at: int | None, services: ApiServices) -> tuple[WhatIf, ...]:
    """Events without a time happen at the moment that is asked for."""
    moment = at if at is not None else services.replica.now() or int(time.time())
    return tuple(
        WhatIf(event.item_id, event.type, moment if event.timestamp is None else event.timestamp, event.value)
        for event in events
    )


def _options_of(query: RecommendationQuery) -> ListOptions:
    """The options of a GET, those alone that it names. Raises Problem 422."""
    given = {name: getattr(query, name) for name in query.model_fields_set & _OPTIONS}
    try:
        more = {} if query.options is None else from_json(query.options)
    except ValueError as exc:
        message = f"is not JSON: {exc}"
        raise Problem(
            422, f"options {message}", [FieldError(field="options", value=show(query.options), message=message)]
        ) from exc
    caps = {"category": query.cap_category, "brand": query.cap_brand}
    if caps := {field: most for field, most in caps.items() if most is not None}:
        given["caps"] = caps
    try:
        ListOptions.model_validate(more)
        if (match := query.match()) is not None:
            given["filter"] = match
        return ListOptions.model_validate({**more, **given})
    except ValidationError as exc:
        errors = field_errors(exc.errors(include_url=False))
        raise Problem(422, "; ".join(f"{error.field}: {error.message}" for error in errors), errors) from exc


def _served(cursor: str | None, owner: str, services: ApiServices) -> Served:
    if cursor is None:
        return cursors.nothing_served()
    try:
        return cursors.read(cursor, owner, services.cursor_key)
    except CursorRefused as exc:
        raise Problem(
            422, f"cursor: {exc}", [FieldError(field="cursor", value=show(cursor), message=str(exc))]
        ) from exc


def _next(found: Recommendation, asked: Asked, services: ApiServices) -> str | None:
    """The cursor of the next page; None after a short page, and when the session has been shown all that it may be."""
    if len(found.item_ids) < asked.k or len(found.served) > cursors.MOST:
        return None
    return cursors.sign(found.served, asked.user_id or "", services.cursor_key)


def _shown(seconds: int | None) -> str | None:
    return None if seconds is None else format_time(seconds)
