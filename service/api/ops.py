"""For operators and orchestrators: is it alive, is it ready, what is it. Open to everyone."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Request

from model.process.records import NEVER
from service.api.ops_schemas import Live, Ready, Version
from service.api.problems import Problem
from service.api.services import ApiServices, services_of
from service.core.types import Backlog
from service.errors import StoreUnavailable

router = APIRouter(tags=["operations"])

NAME = "peregrine"
RELEASE = version("peregrine-recsys")


@router.get("/livez", summary="Is the process alive")
async def livez() -> Live:
    """Asks no store."""
    return Live(status="alive")


@router.get("/readyz", summary="Should it get requests", responses={503: {}})
async def readyz(request: Request) -> Ready:
    """200, or 503 with the `reasons`: stores that do not answer, items not loaded, on the way down.

    A service that takes no events for now is ready: lists go on. `refusing` says why.
    """
    services = services_of(request)
    backlog, reasons = await _backlog(services)
    reasons = ["shutting down"] * services.draining + services.replica.reasons + reasons
    if reasons:
        raise Problem(503, "not ready: " + "; ".join(reasons), reasons=reasons)
    position = services.replica.index.position
    refusal = backlog.refusal(services.settings.max_lag)
    return Ready(
        ready=True,
        items=len(services.replica.index.ids),
        offset=position.offset,
        log_end=backlog.end,
        lag=max(0, backlog.end - position.offset),
        refusing=None if refusal is None else str(refusal),
        tick=None if position.tick == NEVER else position.tick,
        model=services.lines.default.bundle.version,
    )


async def _backlog(services: ApiServices) -> tuple[Backlog, list[str]]:
    try:
        return await services.log.backlog(), []
    except StoreUnavailable as exc:
        return Backlog(), [f"the event log: {exc}"]


@router.get("/version", summary="What is running")
async def get_version(request: Request) -> Version:
    services = services_of(request)
    bundle = services.lines.default.bundle
    return Version(
        name=NAME,
        version=RELEASE,
        model=bundle.version,
        preset=bundle.model.spec.preset,
        bundle=bundle.hash,
        clock=services.settings.clock,
    )
