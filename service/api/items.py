"""/v1/items: the catalogue. Changes go through the log, as events do, so that replay meets them in the same place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from model.text import item_text
from service.api.bodies import media_type, parse_many, parse_one, read_body, validate
from service.api.events import APPLIED_WAIT, append_and_answer
from service.api.openapi import batch_body, one_body
from service.api.patterns import PLAIN
from service.api.problems import Problem, field_errors
from service.api.schemas import (
    EventsAnswer,
    ItemAnswer,
    ItemDocument,
    ItemFields,
    ItemLine,
    ItemsAnswer,
    ItemsQuery,
    PutQuery,
    WaitQuery,
)
from service.api.services import ApiServices, services_of
from service.core.times import format_time
from service.core.types import ItemChange
from service.event_path import accept_items

router = APIRouter(tags=["items"])

ItemId = Annotated[str, Path(min_length=1, max_length=256, pattern=PLAIN)]


@router.post(
    "/v1/items/bulk",
    status_code=202,
    summary="Put many items",
    responses={
        200: {"model": EventsAnswer, "description": "Shows in recommendations (wait=applied)."},
        202: {"model": EventsAnswer},
        **{status: {} for status in (413, 415, 422, 503)},
    },
    openapi_extra=batch_body(ItemLine, "One JSON object a line, or an array; each replaces its item."),
)
async def post_items(request: Request, query: Annotated[WaitQuery, Query()]) -> Response:
    """Accepts items, each for itself: what is wrong with the others stands in `errors`."""
    services = services_of(request)
    kind = media_type(request)
    body = await read_body(request, services.settings.max_body)
    entries = parse_many(body, kind, services.settings.max_batch)
    found, errors = validate(entries, ItemLine)
    services.counts.rejected["item", "invalid"] += len(entries) - len(found)
    records = accept_items(await _changes([(line.item_id, line) for _, line in found], services))
    return await append_and_answer(services, "item", records, len(entries), errors, query.wait == "applied")


@router.get(
    "/v1/items",
    summary="Several items",
    response_model=ItemsAnswer,
    responses={**{status: {} for status in (422, 503)}},
)
async def get_items(request: Request, query: Annotated[ItemsQuery, Query()]) -> Response:
    documents = await services_of(request).reader.documents(query.ids)
    there = [document for document in documents if document is not None]
    missing = [item_id for item_id, document in zip(query.ids, documents, strict=True) if document is None]
    body = b"".join((b'{"items":[', b",".join(there), b'],"missing":', to_json(missing), b"}"))
    return Response(body, media_type="application/json")


@router.put(
    "/v1/items/{item_id:path}",
    status_code=200,
    summary="Put an item",
    responses={
        200: {"model": ItemAnswer, "description": "Shows in recommendations."},
        202: {"model": ItemAnswer, "description": "In the log; not shown yet."},
        **{status: {} for status in (413, 415, 422, 503)},
    },
    openapi_extra=one_body(ItemFields),
)
async def put_item(request: Request, item_id: ItemId, query: Annotated[PutQuery, Query()]) -> Response:
    """Replaces the item, or makes it known: it can be recommended from `available_from` on, by its text alone."""
    services = services_of(request)
    media_type(request)
    entry = parse_one(await read_body(request, services.settings.max_body))
    try:
        fields = ItemFields.model_validate(entry)
    except ValidationError as exc:
        errors = field_errors(exc.errors(include_url=False))
        raise Problem(422, f"the item is not acceptable: {errors[0].field} {errors[0].message}", errors) from exc
    records = accept_items(await _changes([(item_id, fields)], services))
    (appended,) = await services.counts.append(services.log, "item", records)
    answer: dict[str, object] = {"item_id": item_id, "offset": appended.offset}
    applied = query.wait == "applied" and await services.replica.wait_for(appended.offset, APPLIED_WAIT)
    if query.wait == "applied":
        answer["applied"] = applied
    return Response(to_json(answer), 200 if applied else 202, media_type="application/json")


@router.get(
    "/v1/items/{item_id:path}",
    summary="An item",
    response_model=ItemDocument,
    responses={**{status: {} for status in (404, 422, 503)}},
)
async def get_item(request: Request, item_id: ItemId) -> Response:
    """The item as it was last put. One that is known by its events alone is a 404."""
    (document,) = await services_of(request).reader.documents([item_id])
    if document is None:
        raise Problem(404, f"the catalogue was never told of item {item_id!r}")
    return Response(document, media_type="application/json")


async def _changes(items: Sequence[tuple[str, ItemFields]], services: ApiServices) -> list[ItemChange]:
    """The items as the log takes them, their texts embedded if there is an embedder."""
    embedder = services.embedder
    vectors = [b""] * len(items)
    if embedder is not None and items:
        texts = [item_text(item.title, item.category, item.brand, item.text) for _, item in items]
        async with services.embedding:
            rows = await asyncio.to_thread(embedder.embed, texts)
        vectors = [row.tobytes() if text else b"" for row, text in zip(rows, texts, strict=True)]
    now = services.replica.now() or 0
    return [
        _change(item_id, item, now, embedder.id if embedder and vector else "", vector)
        for (item_id, item), vector in zip(items, vectors, strict=True)
    ]


def _change(item_id: str, item: ItemFields, now: int, embedder: str, vector: bytes) -> ItemChange:
    available_from = item.available_from if "available_from" in item.model_fields_set else now
    document: dict[str, object] = {"item_id": item_id}
    document |= item.model_dump(exclude={"item_id", "available_from"}, exclude_none=True)
    document["available_from"] = None if available_from is None else format_time(available_from)
    return ItemChange(item_id, to_json(document), embedder, vector, available_from)
