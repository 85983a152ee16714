"""Who the list of the Live page is for: what they did, their memory and how it moves, their profile."""

from __future__ import annotations

import math
from collections.abc import Awaitable

from nicegui.element import Element

from service.client import ClientError, Json, NotFound
from service.ui.pages.about import facts, profile
from service.ui.parts import Tag, card, empty, link, problem
from service.ui.story import Memory, Story
from service.ui.visit import Visit


class Strip(Element, component="../assets/strip.js"):
    """A memory as a strip of colours, one a dimension."""

    def __init__(self, values: list[float], label: str) -> None:
        super().__init__()
        self.props["values"] = [round(math.tanh(value), 3) for value in values]
        self.props["label"] = label


class Person:
    """Filled anew after every event, behind the list."""

    def __init__(self, visit: Visit, story: Story) -> None:
        self._visit = visit
        self._story = story

    def build(self) -> None:
        """Empty until `refresh`."""
        with card(self._visit.t("live.person"), "person"):
            self._place = Tag("div")
            with self._place:
                Tag("p", "note", self._visit.t("common.loading"))

    async def refresh(self) -> None:
        """Reads everything first and builds then, so that nothing flickers."""
        service, user = self._visit.service, self._story.user
        try:
            known = await _or_none(service.get_user(user))
            described = await _or_none(service.get_profile(user))
            memory = await self._story.memory() if known else None
        except ClientError as exc:
            self._place.clear()
            with self._place:
                problem(self._visit, exc, self.refresh)
            return
        self._place.clear()
        with self._place:
            self._show(known, described, memory)

    def _show(self, known: Json | None, described: Json | None, memory: Memory | None) -> None:
        visit, user = self._visit, self._story.user
        if known is None:
            empty(visit.t("live.stranger"), visit.t("live.stranger_hint"))
            return
        facts(visit, known)
        if memory is not None:
            self._memory(memory)
        profile(visit, described)
        with Tag("p", "row"):
            link("/users", visit.t("live.more"), "button", user=user)
            link("/privacy", visit.t("nav.privacy"), "button", user=user)

    def _memory(self, memory: Memory) -> None:
        visit = self._visit
        Tag("h3", "", visit.t("memory.title"))
        Strip(memory.values, visit.t("memory.strip", n=len(memory.values)))
        moved, waiting = f"{memory.moved:.3f}", memory.waiting
        Tag("p", "note", visit.t("memory.moved", moved=moved, waiting=waiting), id="memory")


async def _or_none(asked: Awaitable[Json]) -> Json | None:
    try:
        return await asked
    except NotFound:
        return None
