"""Models: what the registry holds, what is live, and the way from one to the other."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.responses import Response

from service.api.bodies import read_model
from service.api.model_schemas import ModelAnswer, ModelsAnswer
from service.api.openapi import one_body
from service.api.services import ApiServices, services_of
from service.core.bundles import RegisteredModel
from service.core.live_models import Live, LiveModel
from service.core.times import format_time
from service.rolling import Rolling

router = APIRouter(tags=["models"])

Version = Annotated[str, Path(min_length=1, max_length=64, description="As `GET /v1/models` lists it.")]
_ERRORS: dict[int | str, dict[str, Any]] = {404: {}, 409: {}, 422: {}, 503: {}}
_FOLLOW_SECONDS = 2.0
"""How long an answer about a switch waits until this replica has followed it."""


class RolloutIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"switch": True}]})

    switch: bool = Field(True, description="Take over as soon as the checks are passed; false waits for `activate`.")


@router.get("/v1/models", summary="Bundles and live models", responses={422: {}, 503: {}})
async def get_models(request: Request) -> ModelsAnswer:
    """All bundles of the registry, oldest first, with how far each is on its way to be served."""
    services = services_of(request)
    live, end = await asyncio.to_thread(services.models.live), await services.log.end()
    registered = [] if services.registry is None else await asyncio.to_thread(services.registry.models)
    known = {model.hash for model in registered}
    bundle = services.lines.default.bundle
    strangers = {model.bundle: model.version for model in live.models} | {bundle.hash: bundle.version}
    registered += [RegisteredModel(version, hash_) for hash_, version in strangers.items() if hash_ not in known]
    shown = [_shown(model, live.of(model.hash), live, end, bundle.hash) for model in registered]
    before = live.at(live.before)
    return ModelsAnswer(models=shown, active=bundle.version, before=None if before is None else before.version)


@router.post(
    "/v1/models/{version}/rollout",
    status_code=202,
    summary="Bring a model into service",
    response_model=ModelAnswer,
    responses={**_ERRORS, 413: {}, 415: {}},
    openapi_extra=one_body(RolloutIn),
)
async def post_rollout(request: Request, version: Version) -> Response:
    """Its memory is made from archive and log while the active model serves; checked; then it takes over."""
    services = services_of(request)
    body = await read_model(request, services.settings.max_body, RolloutIn)
    serving = services.lines.default.bundle
    model = await asyncio.to_thread(rolling_of(services).begin, version, serving, body.switch)
    return await _answer(services, model, 202)


@router.post("/v1/models/rollback", summary="Back to the model before", response_model=ModelAnswer, responses=_ERRORS)
async def post_rollback(request: Request) -> Response:
    """At once: both models have learned all along."""
    services = services_of(request)
    return await _switched(services, await asyncio.to_thread(rolling_of(services).roll_back))


@router.post(
    "/v1/models/{version}/activate", summary="Switch to a live model", response_model=ModelAnswer, responses=_ERRORS
)
async def post_activate(request: Request, version: Version) -> Response:
    """At once, if its memory has caught up and its checks are passed."""
    services = services_of(request)
    return await _switched(services, await asyncio.to_thread(rolling_of(services).activate, version))


@router.delete(
    "/v1/models/{version}/rollout", summary="Give a live model up", response_model=ModelAnswer, responses=_ERRORS
)
async def delete_rollout(request: Request, version: Version) -> Response:
    """Breaks a rollout off, or ends the time in which one can go back. Its memory is deleted; the bundle stays."""
    services = services_of(request)
    return await _answer(services, await asyncio.to_thread(rolling_of(services).end, version), 200)


def rolling_of(services: ApiServices) -> Rolling:
    embedder = None if services.embedder is None else services.embedder.id
    return Rolling(services.models, services.registry, services.settings.bundle, embedder)


async def _switched(services: ApiServices, model: LiveModel) -> Response:
    deadline = time.monotonic() + _FOLLOW_SECONDS
    while services.lines.default.bundle.hash != model.bundle and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return await _answer(services, model, 200)


async def _answer(services: ApiServices, model: LiveModel, status: int) -> Response:
    live, end = await asyncio.to_thread(services.models.live), await services.log.end()
    shown = _shown(RegisteredModel(model.version, model.bundle), live.of(model.bundle), live, end, "")
    return Response(to_json(shown.model_dump()), status, media_type="application/json")


def _shown(registered: RegisteredModel, model: LiveModel | None, live: Live, end: int, default: str) -> ModelAnswer:
    answer = ModelAnswer(
        version=registered.version,
        bundle=registered.hash,
        created=registered.created or None,
        code=registered.code or None,
        data=dict(registered.data),
        metrics=dict(registered.metrics),
        problem=registered.problem or None,
        status="active" if registered.hash == default else "registered",
    )
    if model is None:
        return answer
    behind = max(0, end - model.offset) if model.stage == "filling" else 0
    answer.status = "active" if model.generation == live.active else model.stage
    answer.generation, answer.since, answer.checks = model.generation, format_time(model.since), dict(model.checks)
    answer.events_behind = behind
    answer.seconds_left = round(behind / model.rate, 1) if behind and model.rate > 0 else None
    answer.takes_over, answer.reason = model.switch, model.reason or None
    return answer
