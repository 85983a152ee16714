"""The application: routes, errors, documents, and the replica's life."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from service.api import (
    docs,
    events,
    experiments,
    export,
    items,
    metrics,
    models,
    openapi,
    ops,
    personal,
    problems,
    profiles,
    recommendations,
    requests,
    shelves,
    users,
)
from service.api.edge import Edge
from service.api.hot_route import HotRoute
from service.api.services import ApiServices

DESCRIPTION = (
    "Real-time recommendations: every event moves a memory within milliseconds, and the next list follows.\n\n"
    "Errors are `application/problem+json` (RFC 9457). Every answer carries `X-Request-ID`."
)


def create_app(services: ApiServices) -> FastAPI:
    """The application over `services`; it follows the item feed for as long as it lives."""
    app = FastAPI(
        title="Peregrine",
        version=ops.RELEASE,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.services = services
    for resource in (
        events, recommendations, requests, shelves, items, export, profiles, personal, users, models, experiments,
        ops, metrics, docs,
    ):  # fmt: skip
        app.include_router(resource.router)
    app.mount(docs.ASSETS, docs.assets())
    problems.install(app)
    openapi.install(app, services.gate.guards)
    app.add_middleware(HotRoute)
    app.add_middleware(
        Edge,
        gate=services.gate,
        audit=services.audit,
        timings=services.timings,
        max_in_flight=services.settings.max_in_flight,
        tracer=services.tracer,
    )
    if origins := [origin.strip() for origin in services.settings.cors_origins.split(",") if origin.strip()]:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: ApiServices = app.state.services
    async with services.lines.following(), services.trials.following(), services.attribution.flushing():
        try:
            yield
        finally:
            services.draining = True
            await services.freshness.aclose()
    await services.close()
