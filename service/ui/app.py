"""The application of the pages: routes, the frame around them, what is served beside them."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template
from typing import Annotated

from fastapi import FastAPI, Form
from nicegui import ui
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from service.client import ClientError, Unauthorised
from service.settings import Settings, is_loopback
from service.ui.frame import frame
from service.ui.gate import SIGN_IN, Gate
from service.ui.pages import PAGES
from service.ui.sessions import COOKIE, SECONDS, Doors
from service.ui.visit import Visit, visit_of

ASSETS = Path(__file__).parent / "assets"
BUILD_SECONDS = 15.0
"""A page may take that long; the client gives up on the service before."""


def create_app(settings: Settings, url: str) -> FastAPI:
    """The pages for the service at `url`."""
    key = settings.api_key.get_secret_value() if settings.api_key else None
    doors = Doors(url, key, open=is_loopback(settings.ui_host))
    users = [user for part in settings.ui_users.split(",") if (user := part.strip())]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await doors.close()

    application = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    application.mount("/assets", StaticFiles(directory=ASSETS))
    _routes(application, doors)
    for path, build in PAGES.items():
        _page(path, build, lambda request: visit_of(request, doors, users))
    ui.run_with(
        application,
        title="Peregrine",
        favicon=ASSETS / "icon.svg",
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=10.0,
    )
    application.add_middleware(Gate, doors=doors)
    return application


Build = Callable[[Visit, Mapping[str, str]], Awaitable[None]]


def _page(path: str, build: Build, visiting: Callable[[Request], Visit]) -> None:
    async def page(request: Request) -> None:
        visit = visiting(request)
        async with frame(visit, path):
            await build(visit, request.query_params)

    page.__annotations__["request"] = Request  # the library's router reads it
    ui.page(path, response_timeout=BUILD_SECONDS)(page)


def _routes(application: FastAPI, doors: Doors) -> None:
    @application.get("/livez")
    async def livez() -> PlainTextResponse:
        return PlainTextResponse("alive")

    @application.get(SIGN_IN)
    async def ask(request: Request) -> Response:
        return _sign_in_page(visit_of(request, doors, ()), None)

    @application.post(SIGN_IN)
    async def sign_in(request: Request, key: Annotated[str, Form(max_length=1_000)]) -> Response:
        try:
            token = await doors.sign_in(key)
        except ClientError as exc:
            return _sign_in_page(visit_of(request, doors, ()), exc)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, max_age=SECONDS, httponly=True, samesite="strict", secure=secure)
        return answer

    @application.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        await doors.sign_out(request.cookies.get(COOKIE))
        answer = RedirectResponse(SIGN_IN, 303)
        answer.delete_cookie(COOKIE)
        return answer

    @application.get("/export")
    async def export(request: Request, user: str) -> Response:
        lines = doors.client(request.cookies.get(COOKIE)).export_user(user)
        try:
            first = await anext(lines)
        except ClientError as exc:
            return PlainTextResponse(str(exc), 502)
        return StreamingResponse(
            _lines(first, lines),
            media_type="application/x-ndjson",
            headers={"content-disposition": 'attachment; filename="user.ndjson"', "cache-control": "no-store"},
        )


async def _lines(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first + "\n"
    async for line in rest:
        yield line + "\n"


def _sign_in_page(visit: Visit, exc: ClientError | None) -> Response:
    """Plain HTML: nobody gets a socket before they have signed in."""
    said = ""
    if exc is not None:
        known = isinstance(exc, Unauthorised)
        said = visit.t("sign_in.wrong") if known else visit.explain(exc)[0]
    words = {name: visit.t(f"sign_in.{name}") for name in ("title", "hint", "key", "go")}
    values = words | {"said": said, "language": visit.language}
    template = Template((ASSETS / "sign_in.html").read_text(encoding="utf-8"))
    escaped = {name: html.escape(value) for name, value in values.items()}
    return HTMLResponse(template.substitute(escaped), 200 if exc is None else 403, {"cache-control": "no-store"})
