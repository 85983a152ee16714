"""The catalogue on the Live page: every item is a button that posts an event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nicegui import ui

from service.client import Json, calls
from service.ui.catalogue import search, shelf
from service.ui.parts import Tag, button, card, copy_curl, empty, field, fill, guarded
from service.ui.samples import samples
from service.ui.titles import Titles, note_of, title_of
from service.ui.visit import Visit

KINDS = ("view", "click", "cart", "purchase", "like", "dislike")
SHELVES: tuple[calls.Shelf, ...] = ("popular", "trending", "latest")
_MOST = 24


@dataclass
class Things:
    """act: posts an event of a kind with an item."""

    visit: Visit
    titles: Titles
    act: Callable[[str, str], Awaitable[None]]

    async def build(self) -> None:
        """The shelf, the search and the kind of event."""
        visit = self.visit
        with card(visit.t("live.things"), "things"):
            with Tag("div", "row"):
                kinds = {kind: visit.t(f"kind.{kind}") for kind in KINDS}
                self._kind = ui.select(kinds, value="purchase", label=visit.t("live.kind")).props("outlined dense")
                names = {name: visit.t(f"shelf.{name}") for name in SHELVES}
                self._shelf = ui.select(names, value="popular", label=visit.t("live.shelf"), on_change=self._fill)
                self._shelf.props("outlined dense")
            self._search = field(visit.t("common.search"), classes="grow")
            self._search.props["data-search"] = ""
            self._search.on("keydown.enter", self._fill, [])
            self._place = Tag("div", "things-place")
        await self._fill()

    async def _fill(self) -> None:
        await fill(self.visit, self._place, self._build_place)

    async def _build_place(self) -> None:
        text = str(self._search.value or "").strip()
        items = await self._items(text)
        if items:
            with Tag("ul", "tiles"):
                for item in items:
                    self._tile(item)
        elif text:
            empty(self.visit.t("items.none"), self.visit.t("items.none_hint"))
        else:
            self._nothing()

    async def _items(self, text: str) -> Sequence[Json]:
        if text:
            return (await search(self.visit.service, text, _MOST)).items
        found = await shelf(self.visit.service, self._shelf.value, _MOST, self.titles)
        return found or (await search(self.visit.service, "", _MOST)).items

    def _tile(self, item: Json) -> None:
        item_id = item["item_id"]

        async def click() -> None:
            await self.act(item_id, self._kind.value)

        with Tag("li"):
            tile = Tag("button", "tile", type="button")
            tile.props["data-event"] = item_id
            tile.on("click", click, [])
            with tile:
                Tag("span", "title", title_of(item))
                Tag("span", "note", note_of(item))

    def _nothing(self) -> None:
        """An empty catalogue, and a way out of it."""
        visit = self.visit
        put = calls.put_items(samples(), wait=True)

        async def put_samples() -> None:
            await visit.service.put_items(samples(), wait=True)
            await self._fill()

        with empty(visit.t("live.no_items"), visit.t("live.no_items_hint")), Tag("div", "row"):
            button(visit.t("live.put_samples"), guarded(visit, put_samples), "primary")
            copy_curl(visit, put, visit.t("live.put_samples"))
