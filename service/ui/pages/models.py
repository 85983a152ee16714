"""Models and experiments: what runs, and what else there is, as far as this service has routes for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

from service.client import Json, NotFound, calls
from service.ui.parts import NOTHING, Tag, card, copy_curl, empty, fill, table
from service.ui.visit import Visit

_MOST = 100


async def build(visit: Visit, _: Mapping[str, str]) -> None:
    """The version that answers, then models and experiments."""
    Tag("h1", "", visit.t("nav.models"))
    Tag("p", "lead", visit.t("models.lead"))
    with Tag("div", "grid"):
        with card(visit.t("models.running")):
            place = Tag("div")
        await fill(visit, place, lambda: _running(visit))
        for name in ("models", "experiments"):
            with card(visit.t(f"models.{name}")):
                place = Tag("div")
            await fill(visit, place, partial(_records, visit, name))


async def _running(visit: Visit) -> None:
    _fields(await visit.service.version())
    copy_curl(visit, calls.get("/version"))


async def _records(visit: Visit, name: str) -> None:
    """Whatever GET /v1/<name> answers: its lists as tables, the rest as fields."""
    path = f"/v1/{name}"
    try:
        answer = await visit.service.get(path)
    except NotFound:
        empty(visit.t(f"models.no_{name}"), visit.t("models.no_route", path=path))
        return
    _fields({key: value for key, value in answer.items() if not _is_table(value)})
    tables = {key: value for key, value in answer.items() if _is_table(value)}
    for key, records in tables.items():
        columns = list(dict.fromkeys(column for record in records for column in record))
        rows = [tuple(_text(record.get(column)) for column in columns) for record in records[:_MOST]]
        table(key, columns, rows)
    if not any(answer.values()):
        empty(visit.t(f"models.none_{name}"), visit.t("models.none_hint"))
    copy_curl(visit, calls.get(path))


def _fields(values: Mapping[str, object] | Json) -> None:
    with Tag("dl", "facets"):
        for key, value in values.items():
            Tag("dt", "", key)
            Tag("dd", "mono", _text(value))


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(record, dict) for record in value)


def _text(value: object) -> str:
    if value is None:
        return NOTHING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
