"""Pieces that all pages are made of. Whatever comes from people is set as text or as an attribute, never as HTML."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from service.client import ClientError
from service.client.calls import Call
from service.ui.visit import Visit

Handler = Callable[..., Awaitable[None]]
Cell = str | Callable[[], object]
NOTHING = "\N{EN DASH}"
"""Where there is no value."""


class Tag(TextElement):
    """An HTML element. attributes: `aria_label` is `aria-label`."""

    def __init__(self, tag: str, classes: str = "", text: str = "", /, **attributes: str) -> None:
        super().__init__(tag=tag, text=text)
        self.classes(classes)
        for attribute, value in attributes.items():
            self.props[attribute.rstrip("_").replace("_", "-")] = value


class Spark(Element, component="assets/spark.js"):
    """A line of the last values. label: what it shows, for those who do not see it."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.props["values"] = []
        self.props["label"] = label

    def show(self, values: Iterable[float]) -> None:
        self.props["values"] = list(values)
        self.update()


def card(title: str, classes: str = "") -> Tag:
    """A section with a heading; use as a context manager."""
    section = Tag("section", f"card {classes}")
    with section:
        Tag("h2", "", title)
    return section


def link(path: str, text: str, classes: str = "", **query: str) -> Tag:
    """A link to another page. query: quoted here."""
    href = path + ("?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items()) if query else "")
    return Tag("a", classes, text, href=href)


def button(text: str, handler: Handler, classes: str = "", **attributes: str) -> Tag:
    """A button that awaits `handler`. Its errors are shown, and it cannot be pressed twice meanwhile."""
    tag = Tag("button", f"button {classes}", text, type="button", **attributes)
    tag.on("click", handler, [])
    return tag


def copy_curl(visit: Visit, call: Call[Any], what: str = "") -> Tag:
    """Copies the request as a curl command, without asking the server."""
    label = visit.t("copy.label", what=what or f"{call.method} {call.path}")
    tag = Tag("button", "button quiet copy", "curl", type="button", title=label, aria_label=label)
    tag.props["data-copy"] = visit.curl(call)
    tag.props["data-copied"] = visit.t("copy.done")
    return tag


def stat(label: str, value: str) -> None:
    """A number with its name."""
    with Tag("div", "stat"):
        Tag("div", "stat-label", label)
        Tag("div", "stat-value", value)


def empty(title: str, hint: str) -> Tag:
    """What stands where there is nothing yet; may hold what to do about it."""
    box = Tag("div", "empty")
    with box:
        Tag("p", "empty-title", title)
        Tag("p", "", hint)
    return box


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Tag:
    """A table of texts; a cell that can be called builds itself."""
    with Tag("div", "table-wrap", tabindex="0", role="region", aria_label=caption) as wrap, Tag("table"):
        Tag("caption", "sr-only", caption)
        with Tag("thead"), Tag("tr"):
            for head in heads:
                Tag("th", "", head, scope="col")
        with Tag("tbody"):
            for row in rows:
                with Tag("tr"):
                    for cell in row:
                        _cell(cell)
    return wrap


def _cell(cell: Cell) -> None:
    if isinstance(cell, str):
        Tag("td", "", cell)
        return
    with Tag("td"):
        cell()


def moment(at: str | None) -> str:
    """A time of the API's as people read it, still UTC."""
    return at.replace("T", " ").replace("Z", " UTC") if at else NOTHING


def field(label: str, value: str = "", classes: str = "") -> ui.input:
    """A one-line input with its label."""
    box: ui.input = ui.input(label, value=value).props("outlined dense").classes(classes)
    box.props["maxlength"] = "256"
    return box


def problem(visit: Visit, exc: ClientError, again: Handler | None = None) -> None:
    """An error in place of what could not be loaded."""
    title, detail = visit.explain(exc)
    with Tag("div", "problem", role="alert"):
        Tag("p", "empty-title", title)
        Tag("p", "mono", detail)
        if again is not None:
            button(visit.t("common.again"), again)


def complain(visit: Visit, exc: ClientError) -> None:
    """An error of an action, in passing."""
    title, detail = visit.explain(exc)
    ui.notify(title, caption=detail, type="negative", position="top", timeout=8_000)


def guarded(visit: Visit, handler: Handler) -> Handler:
    """The handler, with errors of the service shown instead of raised."""

    async def guarding(*arguments: Any) -> None:
        try:
            await handler(*arguments)
        except ClientError as exc:
            complain(visit, exc)

    return guarding


async def fill(visit: Visit, place: Element, build: Callable[[], Awaitable[None]]) -> None:
    """Builds into an emptied `place`; if the service fails, its error stands there with a way to try again."""

    async def again() -> None:
        await fill(visit, place, build)

    place.clear()
    inside: AbstractContextManager[object] = place
    with inside:
        try:
            await build()
        except ClientError as exc:
            place.clear()
            problem(visit, exc, again)
