"""What a person may ask for: not to be personalised, and to be erased. Both go through the log, as events do."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from service.api.bodies import media_type, parse_one, read_body
from service.api.events import APPLIED_WAIT
from service.api.ids import uuid7
from service.api.openapi import one_body
from service.api.patterns import PLAIN
from service.api.personal_schemas import NOTE, ErasureAnswer, ErasureRequested, PersonalisedAnswer, PersonalisedIn
from service.api.problems import Problem, field_errors
from service.api.schemas import PutQuery
from service.api.services import ApiServices, services_of
from service.core.times import format_time
from service.core.types import Erase, Switch
from service.errors import StoreUnavailable
from service.event_path import accept_marker

router = APIRouter(tags=["personal data"])

UserId = Annotated[str, Path(min_length=1, max_length=256, pattern=PLAIN)]


@router.put(
    "/v1/users/{user_id:path}/personalised",
    summary="Switch personalisation off or on",
    responses={
        200: {"model": PersonalisedAnswer, "description": "In force."},
        202: {"model": PersonalisedAnswer, "description": "In the log; not in force yet."},
        **{status: {} for status in (413, 415, 422, 503)},
    },
    openapi_extra=one_body(PersonalisedIn),
)
async def put_personalised(request: Request, user_id: UserId, query: Annotated[PutQuery, Query()]) -> Response:
    """Any user can be switched, known or not. Events that were posted before stay in the log; DELETE erases them."""
    services = services_of(request)
    media_type(request)
    entry = parse_one(await read_body(request, services.settings.max_body))
    try:
        wanted = PersonalisedIn.model_validate(entry)
    except ValidationError as exc:
        errors = field_errors(exc.errors(include_url=False))
        raise Problem(422, f"the switch is not acceptable: {errors[0].field} {errors[0].message}", errors) from exc
    with services.counts.refusals():
        (appended,) = await services.log.append([accept_marker(Switch(user_id, wanted.personalised))])
    if not wanted.personalised:
        await services.profiles.forget([user_id])
    answer: dict[str, object] = {"user_id": user_id, "personalised": wanted.personalised, "offset": appended.offset}
    applied = await _applied(answer, query, appended.offset, services)
    return Response(to_json(answer), 200 if applied else 202, media_type="application/json")


@router.delete(
    "/v1/users/{user_id:path}",
    status_code=202,
    summary="Erase a user",
    response_description="Hidden (`applied`), and on the way out of log, archive and files.",
    responses={202: {"model": ErasureRequested}, **{status: {} for status in (422, 503)}},
)
async def delete_user(request: Request, user_id: UserId, query: Annotated[PutQuery, Query()]) -> Response:
    """Forgets everything the user did until now, known or not. `Location` leads to how far it is."""
    services = services_of(request)
    erasure_id = uuid7()
    with services.counts.refusals():
        appended = await services.log.erase(erasure_id, accept_marker(Erase(user_id)))
    with suppress(StoreUnavailable):  # the keeper does it again before the erasure is complete
        await services.profiles.forget([user_id])
    answer: dict[str, object] = {"erasure_id": erasure_id, "status": "pending", "offset": appended.offset}
    await _applied(answer, query, appended.offset, services)
    answer["note"] = NOTE
    return Response(to_json(answer), 202, {"location": f"/v1/erasures/{erasure_id}"}, "application/json")


async def _applied(answer: dict[str, object], query: PutQuery, offset: int, services: ApiServices) -> bool:
    """Waits if it is asked for, and says in `answer` what came of it."""
    if query.wait != "applied":
        return False
    applied = await services.replica.wait_for(offset, APPLIED_WAIT)
    answer["applied"] = applied
    return applied


@router.get(
    "/v1/erasures/{erasure_id}",
    summary="How far an erasure is",
    response_model=ErasureAnswer,
    responses={**{status: {} for status in (404, 422, 503)}},
)
async def get_erasure(
    request: Request, erasure_id: Annotated[str, Path(min_length=1, max_length=64, pattern=PLAIN)]
) -> Response:
    """Complete erasures are remembered for 90 days."""
    erasure = await services_of(request).log.erasure(erasure_id)
    if erasure is None:
        raise Problem(404, f"there is no erasure {erasure_id!r}, or it was complete more than 90 days ago")
    done = erasure.completed_at
    answer = {
        "erasure_id": erasure.id,
        "status": "pending" if done is None else "complete",
        "offset": erasure.offset,
        "requested_at": format_time(erasure.requested_at),
        "completed_at": None if done is None else format_time(done),
        "note": NOTE,
    }
    return Response(to_json(answer), media_type="application/json")
