"""POST /v1/events: what users do, into the log. Good events of a batch are accepted whatever the others are."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from service.api.bodies import media_type, parse_many, read_body, validate
from service.api.counts import Kind
from service.api.ids import uuid7
from service.api.openapi import batch_body
from service.api.problems import FieldError, Problem, show
from service.api.schemas import EventIn, EventsAnswer, WaitQuery
from service.api.services import ApiServices, services_of
from service.core.impressions import Outcome
from service.core.times import LATEST
from service.core.types import Append, Appended, Event
from service.event_path import accept
from service.tracing import FIELD

router = APIRouter(tags=["events"])

APPLIED_WAIT = 2.0
"""Seconds that `wait=applied` waits at most."""
_MOST_AHEAD = 300  # seconds that a timestamp may lie in the future


@router.post(
    "/v1/events",
    status_code=202,
    summary="Tell what users did",
    response_description="In the log; nothing of it can be lost any more.",
    responses={
        200: {"model": EventsAnswer, "description": "Shows in recommendations (wait=applied)."},
        202: {"model": EventsAnswer},
        **{status: {} for status in (413, 415, 422, 503)},
    },
    openapi_extra=batch_body(
        EventIn, "One event, an array of up to 1,000, or one JSON object a line; gzip is welcome."
    ),
)
async def post_events(request: Request, query: Annotated[WaitQuery, Query()]) -> Response:
    """Accepts events, each for itself: what is wrong with the others stands in `errors`."""
    services = services_of(request)
    kind = media_type(request)
    body = await read_body(request, services.settings.max_body)
    entries = parse_many(body, kind, services.settings.max_batch)
    found, errors = validate(entries, EventIn)
    trace = getattr(request.state, "trace", None)
    events, given, led_by = _to_events(found, errors, services, trace)
    services.counts.rejected["event", "invalid"] += len(entries) - len(found)
    evaluation = services.evaluation
    looked = [] if evaluation is None else await evaluation.look(events)
    appended = await append(services, "event", accept(events, given), len(entries), errors)
    if evaluation is not None:
        evaluation.count(events, [not one.duplicate for one in appended], looked)
    for event, request_id, one in zip(events, led_by, appended, strict=True):
        if request_id is not None and not one.duplicate:
            services.attribution.credit(Outcome(request_id, event.type, event.item_id))
    return await answer(services, appended, len(entries), errors, query.wait == "applied")


async def append(
    services: ApiServices, kind: Kind, records: list[Append], total: int, errors: list[FieldError]
) -> list[Appended]:
    """Appends the good entries of a batch of `total`.

    Raises Problem 422 if there is none, BackPressure and StoreUnavailable.
    """
    if not records:
        raise Problem(422, f"none of the {total} entries is acceptable", _by_index(errors))
    began = time.perf_counter()
    appended = await services.counts.append(services.log, kind, records)
    services.timings.appended(time.perf_counter() - began)
    services.freshness.accepted(appended[-1].offset)
    return appended


async def answer(
    services: ApiServices, appended: list[Appended], total: int, errors: list[FieldError], wait: bool
) -> Response:
    """202, or 200 once the appended entries show."""
    offset = max(one.offset for one in appended)
    duplicates = sum(one.duplicate for one in appended)
    told: dict[str, Any] = {
        "accepted": len(appended) - duplicates,
        "duplicates": duplicates,
        "rejected": total - len(appended),
        "errors": [error.model_dump() for error in _by_index(errors)],
        "offset": offset,
    }
    applied = wait and await services.replica.wait_for(offset, APPLIED_WAIT)
    if wait:
        told["applied"] = applied
    return Response(to_json(told), 200 if applied else 202, media_type="application/json")


def _by_index(errors: list[FieldError]) -> list[FieldError]:
    return sorted(errors, key=lambda error: error.index or 0)


def _to_events(
    found: list[tuple[int, EventIn]], errors: list[FieldError], services: ApiServices, trace: str | None
) -> tuple[list[Event], list[bool], list[str | None]]:
    """Events for the log, whether each id is the client's, and the request that led to each; what only the service can
    judge is added to `errors`."""
    spec = services.model.spec
    latest = LATEST if services.settings.clock == "event" else int(time.time()) + min(spec.item_tick, _MOST_AHEAD)
    now = services.replica.now() if services.settings.clock == "event" else None
    events, given, led_by = [], [], []
    for index, event in found:
        timestamp = now if event.timestamp is None else event.timestamp
        if timestamp is not None and timestamp > latest:
            services.counts.rejected["event", "future"] += 1
            message = f"lies more than {min(spec.item_tick, _MOST_AHEAD)} seconds in the future"
            errors.append(FieldError(index=index, field="timestamp", value=show(timestamp), message=message))
            continue
        if services.settings.unknown_items == "reject" and services.replica.index.find(event.item_id) is None:
            services.counts.rejected["event", "unknown_item"] += 1
            message = "is not in the catalogue: put it there first"
            errors.append(FieldError(index=index, field="item_id", value=show(event.item_id), message=message))
            continue
        floored = None if timestamp is None else timestamp - timestamp % spec.time_resolution
        events.append(_to_event(event, floored, trace))
        given.append(event.event_id is not None)
        led_by.append(event.request_id)
    return events, given, led_by


def _to_event(event: EventIn, timestamp: int | None, trace: str | None) -> Event:
    given = {
        FIELD: trace,
        "session_id": event.session_id,
        "request_id": event.request_id,
        "properties": event.properties,
    }
    extra = {name: value for name, value in given.items() if value is not None}
    return Event(
        event.event_id or uuid7(),
        event.user_id,
        event.item_id,
        event.type,
        timestamp,
        event.value,
        to_json(extra) if extra else b"",
    )
