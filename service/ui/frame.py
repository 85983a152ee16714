"""What every page has around it: head, navigation, language, light and dark."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from importlib.metadata import version
from typing import Literal

from nicegui import ui

from service.ui.parts import Tag
from service.ui.texts import LANGUAGES
from service.ui.visit import Visit

SECTIONS = {
    "/": "live",
    "/users": "users",
    "/items": "items",
    "/models": "models",
    "/health": "health",
    "/privacy": "privacy",
}
_LIBRARY_LANGUAGES: dict[str, Literal["en-US", "zh-CN"]] = {"en": "en-US", "zh": "zh-CN"}
_RELEASE = version("peregrine-recsys")
_HEAD = (
    f'<link rel="stylesheet" href="/assets/style.css?{_RELEASE}">'
    f'<script defer src="/assets/pages.js?{_RELEASE}"></script>'
)


@asynccontextmanager
async def frame(visit: Visit, path: str) -> AsyncIterator[None]:
    """The page at `path`; its own content is built inside."""
    ui.add_head_html(_HEAD)
    ui.page_title(f"{visit.t(f'nav.{SECTIONS[path]}')} · Peregrine")
    _of_this_load(visit)
    with ui.context.client.layout:  # beside the library's own <main>, not in it
        head = Tag("header", "top")
    head.move(target_index=0)
    with head:
        Tag("a", "brand", "Peregrine", href="/")
        _navigation(visit, path)
        _tools(visit)
    main = Tag("div", "page")
    with main:
        yield
    ui.skip_link(visit.t("nav.skip"), target=main)
    Tag("div", "sr-only", id="said", role="status", aria_live="polite")


def _navigation(visit: Visit, path: str) -> None:
    with Tag("nav", "sections", aria_label=visit.t("nav.label")):
        for target, name in SECTIONS.items():
            current = {"aria_current": "page"} if target == path else {}
            Tag("a", "", visit.t(f"nav.{name}"), href=target, **current)


def _of_this_load(visit: Visit) -> None:
    """Language and colours belong to a page of the library; each load gets a copy of its own."""
    client = ui.context.client
    client.page = copy(client.page)
    client.page.language = _LIBRARY_LANGUAGES[visit.language]
    client.page.dark = visit.dark


def _tools(visit: Visit) -> None:
    with Tag("div", "tools"):
        for code, name in LANGUAGES.items():
            if code != visit.language:
                tag = Tag("button", "button quiet", name, type="button", lang=code)
                tag.props["data-language"] = code
        label = visit.t("nav.dark")
        switch = Tag("button", "button quiet", "◐", type="button", title=label, aria_label=label)
        switch.props["data-dark"] = ""
        if not visit.doors.open:
            with Tag("form", "", method="post", action="/sign-out"):
                Tag("button", "button quiet", visit.t("nav.sign_out"), type="submit")
