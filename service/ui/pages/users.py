"""Users: what the service knows of one, and what it would show them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from service.client import Json, NotFound, calls
from service.ui.pages.about import choose, facts, item_link, profile, recent
from service.ui.parts import Tag, card, copy_curl, empty, fill, link, moment, table
from service.ui.titles import Titles
from service.ui.visit import Visit

_LIST = 10
_PAIRS = 50


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    """`?user=` names the user."""
    user = query.get("user", "")
    Tag("h1", "", visit.t("nav.users"))
    Tag("p", "lead", visit.t("users.lead"))
    choose(visit, user, "/users")
    if not user:
        empty(visit.t("users.nobody"), visit.t("users.nobody_hint"))
        return
    place = Tag("div", "grid")
    await fill(visit, place, lambda: _user(visit, user))


async def _user(visit: Visit, user: str) -> None:
    service, titles = visit.service, Titles(visit.service)
    try:
        known = await service.get_user(user, pairs=True)
    except NotFound:
        with empty(visit.t("users.unknown"), visit.t("users.unknown_hint")):
            link("/", visit.t("users.try"), "button primary", user=user)
        return
    try:
        described = await service.get_profile(user)
    except NotFound:
        described = None
    listed = await service.recommendations(user, _LIST)
    pairs = sorted(known["pairs"], key=lambda pair: (-pair["count"], pair["item_id"]))[:_PAIRS]
    wanted = [slot["item_id"] for slot in (*known["neighbours"], *pairs)]
    names = await titles.of([*wanted, *(item.item_id for item in listed.items)])
    with card(user):
        facts(visit, known)
        profile(visit, described)
        with Tag("p", "row"):
            link("/", visit.t("users.live"), "button primary", user=user)
            link("/privacy", visit.t("nav.privacy"), "button", user=user)
            copy_curl(visit, calls.get_user(user, pairs=True))
    with card(visit.t("users.list")):
        heads = [visit.t(f"column.{name}") for name in ("rank", "item", "score")]
        rows = [(str(item.rank), partial(item_link, names[item.item_id]), f"{item.score:.2f}") for item in listed.items]
        table(visit.t("users.list"), heads, rows)
        copy_curl(visit, calls.recommendations(user, _LIST, None, False, None))
    with card(visit.t("user.recent")):
        recent(visit, known, names)
    with card(visit.t("users.history")):
        _history(visit, pairs, names)


def _history(visit: Visit, pairs: list[Json], names: dict[str, Json]) -> None:
    if not pairs:
        empty(visit.t("user.nothing"), visit.t("user.nothing_hint"))
        return
    heads = [visit.t(f"column.{name}") for name in ("item", "count", "first", "last")]
    rows = [
        (
            partial(item_link, names[pair["item_id"]]),
            str(pair["count"]),
            moment(pair["first_at"]),
            moment(pair["last_at"]),
        )
        for pair in pairs
    ]
    table(visit.t("users.history"), heads, rows)
