"""What several pages show about a person."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from service.client import Json
from service.ui.parts import Tag, empty, link, moment, stat, table
from service.ui.titles import title_of
from service.ui.visit import Visit

FACETS = ("crowd", "interest", "category", "brand")


def facts(visit: Visit, known: Json) -> None:
    """Counts of a user."""
    with Tag("div", "stats"):
        for name in ("events", "moments", "items"):
            stat(visit.t(f"user.{name}"), str(known[name]))
    said = [visit.t("user.last", at=moment(known["last_event_at"]))]
    if known["late"]:
        said.append(visit.t("user.late", n=known["late"]))
    if not known["personalised"]:
        said.append(visit.t("user.off"))
    Tag("p", "note", " · ".join(said))


def profile(visit: Visit, described: Json | None) -> None:
    """Facets of a profile as chips."""
    Tag("h3", "", visit.t("profile.title"))
    if described is None:
        Tag("p", "note", visit.t("profile.none"))
        return
    with Tag("dl", "facets"):
        for name in FACETS:
            facet = described["facets"][name]
            Tag("dt", "", visit.t(f"facet.{name}"))
            with Tag("dd"):
                for phrase in facet["phrases"]:
                    Tag("span", "chip", phrase)
                if facet["status"] != "made":
                    Tag("span", "note", visit.t(f"profile.{facet['status']}"))
    source = visit.t(f"profile.{described['source'] or 'edited'}")
    Tag("p", "note", f"{source} · {moment(described['made_at'])}")


def recent(visit: Visit, known: Json, titles: Mapping[str, Json]) -> None:
    """The newest events, which the model looks at."""
    if not known["neighbours"]:
        empty(visit.t("user.nothing"), visit.t("user.nothing_hint"))
        return
    heads = [visit.t(f"column.{name}") for name in ("item", "kind", "at")]
    rows = [
        (partial(item_link, titles[slot["item_id"]]), slot["type"], moment(slot["at"])) for slot in known["neighbours"]
    ]
    table(visit.t("user.recent"), heads, rows)


def item_link(item: Json) -> Tag:
    """Leads to the item's page."""
    return link("/items", title_of(item), item=item["item_id"])


def choose(visit: Visit, user: str, path: str) -> None:
    """The form that a page about a person begins with."""
    with Tag("form", "who", action=path, method="get", role="search", aria_label=visit.t("live.who")):
        Tag("label", "", visit.t("live.user"), for_="user")
        Tag("input", "", id="user", name="user", value=user, maxlength="256", required="", autocomplete="off")
        Tag("button", "button primary", visit.t("common.show"), type="submit")
        with Tag("span", "offered"):
            for offered in visit.users:
                link(path, offered, "chip", user=offered)
