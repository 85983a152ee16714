"""/v1/users/{id}/profile: what describes a user, and what the person or an editor wants otherwise."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from service.api.bodies import media_type, parse_one, read_body
from service.api.openapi import one_body
from service.api.patterns import PLAIN
from service.api.problems import FieldError, Problem, field_errors
from service.api.profile_schemas import ProfileAnswer, ProfileEdits, RefreshAnswer, ResetAnswer
from service.api.services import ApiServices, services_of
from service.api.users import read_user
from service.core.blobs import is_off
from service.core.profiles import Facets, StoredProfile
from service.core.times import format_time
from service.profile_path.untrusted import clean, objection
from service.profile_ports import Due, Reason

router = APIRouter(tags=["profiles"])

UserId = Annotated[str, Path(min_length=1, max_length=256, pattern=PLAIN)]


@router.get(
    "/v1/users/{user_id:path}/profile",
    summary="A user's profile",
    response_model=ProfileAnswer,
    responses={**{status: {} for status in (404, 422, 503)}},
)
async def get_profile(request: Request, user_id: UserId) -> Response:
    """What describes the user, who made it and from what. 404 as long as there is nothing."""
    services = services_of(request)
    [stored] = await services.profiles.read([user_id])
    if stored == StoredProfile():
        raise Problem(404, f"user {user_id!r} has no profile")
    return _answer(profile_of(user_id, stored, services))


@router.put(
    "/v1/users/{user_id:path}/profile",
    summary="Override or block facets",
    response_model=ProfileAnswer,
    responses={**{status: {} for status in (404, 409, 413, 415, 422, 503)}},
    openapi_extra=one_body(ProfileEdits),
)
async def put_profile(request: Request, user_id: UserId) -> Response:
    """In force at once: a facet that is changed is not used as it was. Lists use what was put in its place as soon as
    the profiler has embedded it."""
    services = services_of(request)
    media_type(request)
    entry = parse_one(await read_body(request, services.settings.max_body))
    try:
        wanted = ProfileEdits.model_validate(entry)
    except ValidationError as exc:
        errors = field_errors(exc.errors(include_url=False))
        raise Problem(422, f"the profile is not acceptable: {errors[0].field} {errors[0].message}", errors) from exc
    edits = _checked(wanted)
    await _check_user(user_id, services)
    await services.profiles.edit(user_id, edits)
    [stored] = await services.profiles.read([user_id])
    return _answer(profile_of(user_id, stored, services))


@router.delete(
    "/v1/users/{user_id:path}/profile",
    summary="Reset a user's profile",
    response_model=ResetAnswer,
    responses={**{status: {} for status in (422, 503)}},
)
async def delete_profile(request: Request, user_id: UserId) -> Response:
    """Deletes it with all changes. The user's next events bring a new one."""
    await services_of(request).profiles.forget([user_id])
    return _answer({"user_id": user_id, "status": "reset"})


@router.post(
    "/v1/users/{user_id:path}/profile/refresh",
    status_code=202,
    summary="Ask for a new profile",
    response_model=RefreshAnswer,
    responses={**{status: {} for status in (404, 409, 422, 503)}},
)
async def refresh_profile(request: Request, user_id: UserId) -> Response:
    """Puts the user first in the profiler's queue, and answers without waiting."""
    services = services_of(request)
    await _check_user(user_id, services)
    await services.profiles.add([Due(user_id, Reason.ASKED)])
    return Response(to_json({"user_id": user_id, "status": "queued"}), 202, media_type="application/json")


def _checked(wanted: ProfileEdits) -> Facets:
    """Raises Problem 422 for a phrase that no profile may hold."""
    edits: dict[str, tuple[str, ...]] = dict.fromkeys(wanted.block, ())
    for facet, phrases in wanted.override.items():
        cleaned = [clean(phrase) for phrase in phrases]
        for place, phrase in enumerate(cleaned):
            if why := objection(phrase):
                error = FieldError(field=f"override.{facet}.{place}", value=phrases[place], message=why)
                raise Problem(422, f"the profile is not acceptable: {error.field}: {why}", [error])
        edits[facet] = tuple(dict.fromkeys(cleaned))
    return edits


async def _check_user(user_id: str, services: ApiServices) -> None:
    """Raises Problem: there must be a user, and the person must not have switched personalisation off."""
    read = await read_user(user_id, services)
    if read is None:
        raise Problem(404, f"user {user_id!r} has no event")
    if is_off(read[0]):
        raise Problem(409, f"user {user_id!r} is switched off: no profile is made or kept")


def profile_of(user_id: str, stored: StoredProfile, services: ApiServices) -> dict[str, Any]:
    """The answer; `in_use` is what the request path would take."""
    spec, profile = services.model.spec, stored.profile
    inputs = stored.inputs(spec.embedder, spec.facet_dim)
    facets = stored.facets
    used = [] if inputs is None else [name for name, vector in zip(facets, inputs[0], strict=True) if vector.any()]
    answer: dict[str, Any] = {
        "user_id": user_id,
        "facets": {
            name: {"phrases": phrases, "status": _status(name, stored.edits)} for name, phrases in facets.items()
        },
    }
    origin = profile.origin if profile else None
    maker = origin.maker if origin else None
    answer |= {name: getattr(maker, name, None) for name in ("source", "model", "embedder")}
    answer["prompt_version"] = maker.prompt if maker else None
    answer["made_at"] = format_time(origin.made_at) if origin else None
    answer["age_seconds"] = max(0, int(time.time()) - origin.made_at) if origin else None
    seen = ("offset", "events", "items", "input_hash")
    answer["made_from"] = {name: getattr(origin, name) for name in seen} if origin else None
    answer["in_use"] = used
    return answer


def _status(facet: str, edits: Facets) -> str:
    if facet not in edits:
        return "made"
    return "overridden" if edits[facet] else "blocked"


def _answer(body: dict[str, Any]) -> Response:
    return Response(to_json(body), media_type="application/json")
