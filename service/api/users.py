"""GET /v1/users/{id}: what is known of a user."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from model.process.batch import Users
from model.process.records import NEVER
from service.api.patterns import PLAIN
from service.api.problems import Problem
from service.api.read_schemas import UserAnswer, UserQuery
from service.api.services import ApiServices, services_of
from service.core.blobs import is_off, unpack_users
from service.core.log_records import UnreadableRecord
from service.core.times import format_time
from service.errors import StoreUnavailable

router = APIRouter(tags=["users"])

UserId = Annotated[str, Path(min_length=1, max_length=256, pattern=PLAIN)]


@router.get(
    "/v1/users/{user_id:path}",
    summary="A user",
    response_model=UserAnswer,
    responses={**{status: {} for status in (404, 422, 503)}},
)
async def get_user(request: Request, user_id: UserId, query: Annotated[UserQuery, Query()]) -> Response:
    """Counts, recent items and, with `pairs=true`, the whole history of a user with an event, or one who is switched
    off; 404 for others."""
    services = services_of(request)
    read = await read_user(user_id, services)
    if read is None:
        raise Problem(404, f"user {user_id!r} has no event")
    users, committed = read
    names = await names_of(users, services)
    answer = {"user_id": user_id, **counts_of(users), "offset": committed}
    answer["neighbours"] = neighbours_of(users, names, services.model.spec.event_types)
    if query.pairs:
        answer["pairs"] = pairs_of(users, names)
    return Response(to_json(answer), media_type="application/json")


async def read_user(user_id: str, services: ApiServices) -> tuple[Users, int] | None:
    """The user's record and pairs, and the committed offset; None for an unknown user. Raises StoreUnavailable."""
    read = await services.reader.user(user_id)
    if read.blob is None:
        return None
    try:
        return unpack_users([read.blob], services.model.spec), read.committed
    except UnreadableRecord as exc:
        raise StoreUnavailable(str(exc)) from exc


async def names_of(users: Users, services: ApiServices) -> dict[int, str]:
    """Ids by catalogue index of a user's items; those that the replica has not met yet are read."""
    index = np.unique(np.concatenate([users.pairs["item"], _recent(users)["nb_item"]])).astype(np.int64)
    known, reader = services.replica.view.index.ids, services.reader
    names = {i: known[i] for i in index.tolist() if i < len(known)}
    newest = int(index.max(initial=-1))
    if newest >= len(known):
        start = len(known)
        names |= dict(enumerate(await reader.item_ids(start, newest - start + 1), start))
    return names


def counts_of(users: Users) -> dict[str, Any]:
    row = users.rows[0]
    counts: dict[str, Any] = {name: int(row[name]) for name in ("events", "moments", "late", "evicted")}
    last = None if row["last"] == NEVER else format_time(int(row["last"]))
    return {"personalised": not is_off(users), **counts, "items": len(users.pairs), "last_event_at": last}


def _recent(users: Users) -> dict[str, Any]:
    """The filled neighbour slots, newest first."""
    row = users.rows[0]
    there = row["nb_time"] != NEVER
    return {name: row[name][there] for name in ("nb_item", "nb_type", "nb_time")}


def neighbours_of(users: Users, names: dict[int, str], event_types: tuple[str, ...]) -> list[dict[str, str]]:
    recent = _recent(users)
    slots = zip(recent["nb_item"].tolist(), recent["nb_type"].tolist(), recent["nb_time"].tolist(), strict=True)
    return [{"item_id": names[i], "type": event_types[kind], "at": format_time(at)} for i, kind, at in slots]


def pairs_of(users: Users, names: dict[int, str]) -> list[dict[str, Any]]:
    columns = (users.pairs[name].tolist() for name in ("item", "count", "moments", "first", "last"))
    return [
        {
            "item_id": names[item],
            "count": count,
            "moments": moments,
            "first_at": format_time(first),
            "last_at": format_time(last),
        }
        for item, count, moments, first, last in zip(*columns, strict=True)
    ]
