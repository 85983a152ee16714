"""/v1/items: the catalogue. Changes go through the log, as events do, so that replay meets them in the same place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import ValidationError
from pydantic_core import from_json, to_json
from starlette.responses import Response

from model.text import item_text
from service.api.bodies import media_type, parse_many, parse_one, read_body, read_model, validate
from service.api.events import APPLIED_WAIT, answer, append
from service.api.export import Lines
from service.api.openapi import batch_body, one_body
from service.api.patterns import PLAIN
from service.api.problems import FieldError, Problem, field_errors
from service.api.schemas import (
    EventsAnswer,
    ItemAnswer,
    ItemDocument,
    ItemFields,
    ItemLine,
    ItemPatch,
    ItemsAnswer,
    ItemsQuery,
    PutQuery,
    WaitQuery,
)
from service.api.services import ApiServices, services_of
from service.core.attributes import deletion, is_deletion
from service.core.times import format_time
from service.core.types import ItemChange
from service.event_path import accept_items

router = APIRouter(tags=["items"])

EXPORTED = 500
"""Items read at once for an export."""
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
    """Accepts items, each for itself: what is wrong with the others stands in `errors`, by line."""
    services = services_of(request)
    kind = media_type(request)
    body = await read_body(request, services.settings.max_body)
    entries = parse_many(body, kind, services.settings.max_batch)
    found, errors = validate(entries, ItemLine)
    services.counts.rejected["item", "invalid"] += len(entries) - len(found)
    records = accept_items(await _changes([(line.item_id, line) for _, line in found], services))
    appended = await append(services, "item", records, len(entries), errors)
    return await answer(services, appended, len(entries), errors, query.wait == "applied")


@router.get(
    "/v1/items",
    summary="Several items, or a page of all",
    response_model=ItemsAnswer,
    responses={**{status: {} for status in (422, 503)}},
)
async def get_items(request: Request, query: Annotated[ItemsQuery, Query()]) -> Response:
    """The items named, or a page of all that the catalogue was told of, in the order in which they became known."""
    services = services_of(request)
    if query.ids is not None:
        documents = await _documents(query.ids, services)
        missing = [item_id for item_id, document in zip(query.ids, documents, strict=True) if document is None]
        return _items(documents, b"missing", missing)
    ids, start = services.replica.index.ids, 0
    if query.cursor is not None:
        if (last := services.replica.index.find(query.cursor)) is None:
            message = "names no item that this catalogue knows"
            raise Problem(422, f"cursor: {message}", [FieldError(field="cursor", value=query.cursor, message=message)])
        start = last + 1
    page = ids[start : start + query.limit]
    more = page[-1] if start + len(page) < len(ids) else None
    return _items(await _documents(page, services), b"cursor", more)


def _items(documents: Sequence[bytes | None], name: bytes, value: object) -> Response:
    there = b",".join(document for document in documents if document is not None)
    body = b"".join((b'{"items":[', there, b'],"', name, b'":', to_json(value), b"}"))
    return Response(body, media_type="application/json")


async def _documents(item_ids: Sequence[str], services: ApiServices) -> list[bytes | None]:
    """None for items that the catalogue was never told of, or told to forget."""
    documents = await services.reader.documents(item_ids)
    return [None if document is None or is_deletion(document) else document for document in documents]


@router.get(
    "/v1/items/export",
    summary="The whole catalogue",
    response_class=Lines,
    responses={200: {"model": ItemDocument, "description": "One item a line, as a bulk takes it."}, 422: {}, 503: {}},
)
async def export_items(request: Request) -> Response:
    """All items as NDJSON, in bounded memory."""
    services = services_of(request)
    _ = services.reader  # what is wrong with the store shows before the answer begins
    return Lines(_lines(services))


async def _lines(services: ApiServices) -> AsyncIterator[bytes]:
    ids = services.replica.index.ids
    for start in range(0, len(ids), EXPORTED):
        documents = await _documents(ids[start : start + EXPORTED], services)
        yield b"".join(document + b"\n" for document in documents if document is not None)


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
    fields = await read_model(request, services.settings.max_body, ItemFields)
    return await _put((await _changes([(item_id, fields)], services))[0], services, query.wait == "applied")


@router.patch(
    "/v1/items/{item_id:path}",
    status_code=200,
    summary="Change some fields of an item",
    responses={
        200: {"model": ItemAnswer, "description": "Shows in recommendations."},
        202: {"model": ItemAnswer, "description": "In the log; not shown yet."},
        **{status: {} for status in (404, 413, 415, 422, 503)},
    },
    openapi_extra=one_body(ItemPatch),
)
async def patch_item(request: Request, item_id: ItemId, query: Annotated[PutQuery, Query()]) -> Response:
    """A merge patch (RFC 7396) of the item as it stands after all that was accepted before; its text is embedded anew.

    Of two patches that two processes take at the same moment, the later one wins in full.
    """
    services = services_of(request)
    media_type(request)
    patch = parse_one(await read_body(request, services.settings.max_body))
    async with services.patching:
        document = await _latest(item_id, services)
        del document["item_id"]
        fields = _validated(_patched(document, patch) if isinstance(patch, dict) else patch)
        (change,) = await _changes([(item_id, fields)], services)
        (appended,) = await services.counts.append(services.log, "item", accept_items([change]))
    return await _answer(item_id, appended.offset, services, query.wait == "applied")


@router.delete(
    "/v1/items/{item_id:path}",
    status_code=200,
    summary="Take an item out of the catalogue",
    responses={
        200: {"model": ItemAnswer, "description": "In no list any more."},
        202: {"model": ItemAnswer, "description": "In the log; still shown."},
        **{status: {} for status in (404, 422, 503)},
    },
)
async def delete_item(request: Request, item_id: ItemId, query: Annotated[PutQuery, Query()]) -> Response:
    """The item is in no list any more, whatever events come, until it is put again. What users did with it stays in
    their memory."""
    services = services_of(request)
    (document,) = await services.reader.documents([item_id])
    if is_deletion(document) if document is not None else services.replica.index.find(item_id) is None:
        raise Problem(404, f"there is no item {item_id!r}")
    return await _put(ItemChange(item_id, deletion(item_id)), services, query.wait == "applied")


async def _latest(item_id: str, services: ApiServices) -> dict[str, Any]:
    """The item with all that the log holds of it by now. Raises Problem 404, and 503 if that is not applied in time."""
    if not await services.replica.wait_for(await services.log.end(), APPLIED_WAIT):
        raise Problem(503, "the item may have changes that are not applied yet; try again later")
    (document,) = await _documents([item_id], services)
    if document is None:
        raise Problem(404, f"the catalogue does not have item {item_id!r}")
    fields: dict[str, Any] = from_json(document)
    return fields


def _merged(document: Any, patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7396."""
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value) if isinstance(value, dict) else value
    return merged


def _patched(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The merge, in which `available_from` may be null: that says something."""
    released = {name: value for name, value in patch.items() if name == "available_from"}
    return _merged(document, patch) | released


def _validated(entry: Any) -> ItemFields:
    try:
        return ItemFields.model_validate(entry)
    except ValidationError as exc:
        errors = field_errors(exc.errors(include_url=False))
        raise Problem(422, f"the item is not acceptable: {errors[0].field} {errors[0].message}", errors) from exc


async def _put(change: ItemChange, services: ApiServices, wait: bool) -> Response:
    (appended,) = await services.counts.append(services.log, "item", accept_items([change]))
    return await _answer(change.item_id, appended.offset, services, wait)


async def _answer(item_id: str, offset: int, services: ApiServices, wait: bool) -> Response:
    answer: dict[str, object] = {"item_id": item_id, "offset": offset}
    applied = wait and await services.replica.wait_for(offset, APPLIED_WAIT)
    if wait:
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
    (document,) = await _documents([item_id], services_of(request))
    if document is None:
        raise Problem(404, f"the catalogue does not have item {item_id!r}")
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
    document |= item.model_dump(exclude={"item_id", "available_from", "available_until"}, exclude_none=True)
    if item.available_until is not None:
        document["available_until"] = format_time(item.available_until)
    document["available_from"] = None if available_from is None else format_time(available_from)
    return ItemChange(item_id, to_json(document), embedder, vector, available_from)
