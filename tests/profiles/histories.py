"""Histories to describe."""

from __future__ import annotations

from service.profile_path.untrusted import clean
from service.profile_ports import History, HistoryItem


def item(title: str, category: str = "", brand: str = "", count: int = 1, age: int = 0) -> HistoryItem:
    names = (clean(text) for text in (title, category, brand))
    return HistoryItem(title, *names, "purchase", count, age)


def history(*titles: str) -> History:
    return History(tuple(item(title) for title in titles))


RUNNER = History(
    (
        item("Trail running shoe Falcon", "shoes", "Kestrel", 3),
        item("Trail running vest", "apparel", "Kestrel", age=3),
        item("Running socks", "apparel", "Wren", age=200),
    )
)
