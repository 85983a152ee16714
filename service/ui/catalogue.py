"""Looking for items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.client import AsyncClient, Json, calls
from service.ui.titles import Titles

_PAGE = 1_000
MOST_SEEN = 20_000
"""Items of the catalogue that a search by text looks at: the API has none, so that the pages look themselves."""


@dataclass(frozen=True)
class Found:
    """items: at most as many as asked for; seen: looked at; whole: all that there are."""

    items: Sequence[Json]
    seen: int
    whole: bool


async def search(service: AsyncClient, text: str, most: int) -> Found:
    """Items whose id, title, category, brand or tags contain every word of `text`. Raises ClientError."""
    words = text.casefold().split()
    found: list[Json] = []
    cursor: str | None = None
    seen = 0
    while seen < MOST_SEEN:
        page = await service.page_items(_PAGE, cursor)
        seen += len(page["items"])
        found += [item for item in page["items"] if _matches(item, words)]
        cursor = page.get("cursor")
        if cursor is None or len(found) >= most:
            break
    return Found(found[:most], seen, cursor is None)


async def shelf(service: AsyncClient, name: calls.Shelf, most: int, titles: Titles, **conditions: str) -> list[Json]:
    """The items of a shelf, with their titles. Raises ClientError."""
    answer = await service.shelf(name, most, **conditions)
    ids = [entry["item_id"] for entry in answer["items"]]
    known = await titles.of(ids)
    return [known[item_id] for item_id in ids]


def _matches(item: Json, words: Sequence[str]) -> bool:
    parts = [item.get(name) or "" for name in ("item_id", "title", "category", "brand")] + (item.get("tags") or [])
    text = " ".join(str(part) for part in parts).casefold()
    return all(word in text for word in words)
