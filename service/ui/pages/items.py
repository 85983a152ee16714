"""Items: search, shelves with filters, one item with what is like it, hiding."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial

from service.client import Json, NotFound, calls
from service.ui.catalogue import search, shelf
from service.ui.pages.about import item_link
from service.ui.pages.live_things import SHELVES
from service.ui.parts import Cell, Tag, button, card, copy_curl, empty, fill, guarded, table
from service.ui.titles import Titles, title_of
from service.ui.visit import Visit

_MOST = 50
_SIMILAR = 12
FILTERS = ("category", "brand", "tag", "min_price", "max_price")


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    """`?q=` searches, `?shelf=` and the filters choose, `?item=` shows one."""
    asked = {name: value for name, value in query.items() if value}
    Tag("h1", "", visit.t("nav.items"))
    Tag("p", "lead", visit.t("items.lead"))
    _form(visit, asked)
    with Tag("div", "grid"):
        if item_id := asked.get("item"):
            place = card(visit.t("items.one"), "one")
            await fill(visit, place, lambda: _Item(visit, item_id, place).build())
        found = card(visit.t("items.found"))
        await fill(visit, found, lambda: _results(visit, asked))


def _form(visit: Visit, asked: dict[str, str]) -> None:
    with Tag("form", "who", action="/items", method="get", role="search", aria_label=visit.t("common.search")):
        with Tag("span", "", data_search=""):
            _input(visit.t("common.search"), "q", asked)
        Tag("label", "", visit.t("live.shelf"), for_="shelf")
        with Tag("select", "", id="shelf", name="shelf"):
            for shelved in SHELVES:
                chosen = {"selected": ""} if asked.get("shelf") == shelved else {}
                Tag("option", "", visit.t(f"shelf.{shelved}"), value=shelved, **chosen)
        with Tag("details", "filters", **({"open": ""} if set(asked) & set(FILTERS) else {})):
            Tag("summary", "", visit.t("items.filters"))
            for name in FILTERS:
                _input(visit.t(f"filter.{name}"), name, asked)
        Tag("button", "button primary", visit.t("common.show"), type="submit")


def _input(label: str, name: str, asked: dict[str, str]) -> None:
    Tag("label", "", label, for_=f"f-{name}")
    Tag("input", "", id=f"f-{name}", name=name, value=asked.get(name, ""), maxlength="256", autocomplete="off")


async def _results(visit: Visit, asked: dict[str, str]) -> None:
    Tag("h2", "", visit.t("items.found"))
    titles = Titles(visit.service)
    note = ""
    items: Sequence[Json]
    if text := asked.get("q"):
        found = await search(visit.service, text, _MOST)
        items = found.items
        note = visit.t("items.seen", n=found.seen)
    else:
        name: calls.Shelf = next((known for known in SHELVES if known == asked.get("shelf")), "popular")
        conditions = {key: asked[key] for key in FILTERS if key in asked}
        items = await shelf(visit.service, name, _MOST, titles, **conditions)
        copy_curl(visit, calls.shelf(name, _MOST, conditions))
    if not items:
        empty(visit.t("items.none"), visit.t("items.none_hint"))
        return
    heads = [visit.t(f"column.{name}") for name in ("item", "id", "category", "brand", "price")]
    table(visit.t("items.found"), heads, [_row(visit, item) for item in items])
    Tag("p", "note", note)


def _row(visit: Visit, item: Json) -> tuple[Cell, ...]:
    hidden = f" ({visit.t('items.hidden')})" if item.get("hidden") else ""
    price = "" if item.get("price") is None else f"{item['price']:g}"
    return (
        partial(item_link, item),
        item["item_id"] + hidden,
        item.get("category") or "",
        item.get("brand") or "",
        price,
    )


class _Item:
    """One item of the catalogue."""

    def __init__(self, visit: Visit, item_id: str, place: Tag) -> None:
        self._visit = visit
        self._id = item_id
        self._place = place

    async def build(self) -> None:
        visit = self._visit
        try:
            item = await visit.service.get_item(self._id)
        except NotFound:
            Tag("h2", "", self._id)
            empty(visit.t("items.untold"), visit.t("items.untold_hint"))
            item = None
        if item is not None:
            self._described(item)
        await self._similar()

    def _described(self, item: Json) -> None:
        visit = self._visit
        Tag("h2", "", title_of(item))
        with Tag("dl", "facets"):
            for name, value in item.items():
                if value is not None:
                    Tag("dt", "", name)
                    Tag("dd", "", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        hidden = not item.get("hidden")
        label = visit.t("items.hide" if hidden else "items.unhide")

        async def turn() -> None:
            await visit.service.patch_item(self._id, {"hidden": hidden})
            await fill(visit, self._place, self.build)

        with Tag("p", "row"):
            button(label, guarded(visit, turn), "danger" if hidden else "primary")
            copy_curl(visit, calls.patch_item(self._id, {"hidden": hidden}), label)

    async def _similar(self) -> None:
        visit = self._visit
        Tag("h3", "", visit.t("items.similar"))
        try:
            answer = await visit.service.similar_items(self._id, _SIMILAR)
        except NotFound:
            answer = {"items": []}
        if not answer["items"]:
            empty(visit.t("items.alone"), visit.t("items.alone_hint"))
            return
        names = await Titles(visit.service).of(entry["item_id"] for entry in answer["items"])
        heads = [visit.t(f"column.{name}") for name in ("item", "cosine")]
        rows = [(partial(item_link, names[entry["item_id"]]), f"{entry['score']:.3f}") for entry in answer["items"]]
        table(visit.t("items.similar"), heads, rows)
        copy_curl(visit, calls.similar_items(self._id, _SIMILAR))
