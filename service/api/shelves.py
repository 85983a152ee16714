"""Lists that are nobody's own: similar, trending, popular and latest items. None of them asks a store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from model.process.records import NEVER
from service.api.list_queries import FilterQuery
from service.api.patterns import PLAIN
from service.api.problems import Problem, field_errors
from service.api.services import services_of
from service.api.shelf_schemas import (
    LatestAnswer,
    PopularAnswer,
    ShelfQuery,
    SimilarAnswer,
    SimilarUsersAnswer,
    SimilarUsersQuery,
    TrendingAnswer,
    TrendingQuery,
)
from service.core.filters import EVERYTHING, Match
from service.core.impressions import Impression
from service.core.times import format_time
from service.errors import StoreUnavailable
from service.lists import shelves
from service.lists.likeness import similar_users
from service.lists.reading import read_users
from service.lists.scoring import moment
from service.lists.shelves import Shelf

router = APIRouter(tags=["items"])

UserId = Annotated[str, Path(min_length=1, max_length=256, pattern=PLAIN)]
ItemId = Annotated[str, Path(min_length=1, max_length=256, pattern=PLAIN)]
_ERRORS: dict[int | str, dict[str, Any]] = {422: {}, 503: {}}


@router.get("/v1/items/trending", summary="What rises", response_model=TrendingAnswer, responses=_ERRORS)
async def get_trending(request: Request, query: Annotated[TrendingQuery, Query()]) -> Response:
    """Items that have more events than they use to, or whose memory moves fastest; both figures are shown."""
    services = services_of(request)
    index, spec = services.replica.index, services.model.spec
    shelf = shelves.trending(_match(query), query.k, index, spec, query.by == "velocity")
    return _answer(request, "trending", shelf, {"by": query.by})


@router.get("/v1/items/popular", summary="What is popular", response_model=PopularAnswer, responses=_ERRORS)
async def get_popular(request: Request, query: Annotated[ShelfQuery, Query()]) -> Response:
    """Items with the most events of late: counts have a half-life of 7 days."""
    return _answer(request, "popular", shelves.popular(_match(query), query.k, services_of(request).replica.index))


@router.get("/v1/items/latest", summary="What is new", response_model=LatestAnswer, responses=_ERRORS)
async def get_latest(request: Request, query: Annotated[ShelfQuery, Query()]) -> Response:
    """Items by their release or first event, whichever came first; the newest first."""
    shelf, since = shelves.latest(_match(query), query.k, services_of(request).replica.index)
    times = [None if at == NEVER else format_time(at) for at in since.tolist()]
    return _answer(request, "latest", shelf, more={"since": times})


@router.get(
    "/v1/items/{item_id:path}/similar",
    summary="Items like this one",
    response_model=SimilarAnswer,
    responses={404: {}, **_ERRORS},
)
async def get_similar(request: Request, item_id: ItemId, query: Annotated[ShelfQuery, Query()]) -> Response:
    """Items whose vectors, made of text and of who did what with them, are nearest; `score` is the cosine."""
    shelf = shelves.similar(item_id, _match(query), query.k, services_of(request).replica.index)
    if shelf is None:
        raise Problem(404, f"there is no item {item_id!r}")
    return _answer(request, "similar", shelf, {"item_id": item_id})


@router.get(
    "/v1/users/{user_id:path}/similar",
    summary="Users like this one",
    response_model=SimilarUsersAnswer,
    responses={404: {}, 409: {}, **_ERRORS},
    tags=["users"],
)
async def get_similar_users(
    request: Request, user_id: UserId, query: Annotated[SimilarUsersQuery, Query()]
) -> Response:
    """Users whose embeddings are nearest now, among those whose lists this process made lately."""
    services = services_of(request)
    serving = services.serving
    view, model, reader = serving.replica.view, serving.model, serving.replica.reader
    known = await read_users([user_id], reader, model)
    if known is None:
        raise StoreUnavailable("the user cannot be read")
    if known.is_off():
        raise Problem(409, f"user {user_id!r} is switched off")
    if not known.users.rows["events"][0]:
        raise Problem(404, f"user {user_id!r} has no event")
    at, crowd = moment(None, known, serving.replica.now()), serving.crowd
    found = await similar_users(user_id, known, at, query.k, crowd, view.index, reader, model)
    users = [{"user_id": other, "rank": rank, "score": score} for rank, (other, score) in enumerate(found, 1)]
    return Response(to_json({"user_id": user_id, "users": users, "among": len(crowd)}), media_type="application/json")


def _match(query: FilterQuery) -> Match:
    try:
        match = query.match()
    except ValidationError as exc:
        errors = field_errors(exc.errors(include_url=False))
        raise Problem(422, "; ".join(f"{error.field}: {error.message}" for error in errors), errors) from exc
    return EVERYTHING if match is None else match.match()


def _answer(
    request: Request,
    name: str,
    shelf: Shelf,
    head: dict[str, Any] | None = None,
    more: dict[str, Sequence[Any]] | None = None,
) -> Response:
    """Kept like any other list: events that carry its request_id count for it."""
    services, request_id = services_of(request), request.state.request_id
    version = services.lines.default.bundle.version
    services.attribution.note(Impression(request_id, int(time.time()), tuple(shelf.item_ids), name, version))
    columns = {name: values.tolist() for name, values in shelf.shown.items()} | (more or {})
    items = [
        {"item_id": item_id, "rank": place + 1} | {name: column[place] for name, column in columns.items()}
        for place, item_id in enumerate(shelf.item_ids)
    ]
    answer = {"request_id": request_id} | (head or {}) | {"items": items}
    return Response(to_json(answer), media_type="application/json")
