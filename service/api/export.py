"""GET /v1/users/{id}/export: everything that is stored about a user, line by line, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic_core import from_json, to_json
from starlette.responses import Response, StreamingResponse

from model.process.batch import Users
from model.spec import FACETS
from service.api.patterns import PLAIN
from service.api.personal_schemas import ExportLine
from service.api.problems import Problem
from service.api.profiles import profile_of
from service.api.services import ApiServices, services_of
from service.api.users import counts_of, names_of, neighbours_of, pairs_of, read_user
from service.core.log_records import ERASE, SWITCH, Columns, LogRecords, readable
from service.core.profiles import StoredProfile
from service.core.times import format_time
from service.errors import LogTrimmed
from service.ports import EventSource

router = APIRouter(tags=["personal data"])

UserId = Annotated[str, Path(min_length=1, max_length=256, pattern=PLAIN)]
CHUNK = 5_000
"""Records looked through at once."""
MOST = 4
"""Exports at once: each goes through the whole log."""


class Lines(StreamingResponse):
    media_type = "application/x-ndjson"


@router.get(
    "/v1/users/{user_id:path}/export",
    summary="Everything that is stored about a user",
    response_class=Lines,
    responses={
        200: {"model": ExportLine, "description": "One JSON object a line."},
        **{status: {} for status in (422, 503)},
    },
)
async def export_user(request: Request, user_id: UserId) -> Response:
    """The record with its neighbours and pairs, the profile, then the user's events from archive and log. It goes
    through all of the log, so it takes its time."""
    services = services_of(request)
    if services.exports >= MOST:
        raise Problem(503, f"{MOST} exports are under way; try again later", headers={"retry-after": "30"})
    lines = _lines(user_id, services)
    first = await anext(lines)  # what is wrong with the stores shows before the answer begins
    return Lines(_rest(first, lines))


async def _rest(first: bytes, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for some in lines:
        yield some


async def _lines(user_id: str, services: ApiServices) -> AsyncIterator[bytes]:
    """Lines, some at a time. The first come when the log has answered, too."""
    services.exports += 1
    try:
        read = await read_user(user_id, services)
        known = b"" if read is None else _join(await _record(user_id, read[0], services))
        known += _join(await _profile(user_id, services))
        end, events = await services.log.end(), 0
        with services.history() as source:
            after = await _after_erasure(user_id, source, services)
            while after < end:
                records = await _read(source, after)
                found = await asyncio.to_thread(_events, user_id, records)
                events += len(found)
                if lines := known + _join(found):
                    yield lines
                known, after = b"", int(records.offset[-1])
        yield known + _join([{"record": "end", "offset": end, "events": events}])
    finally:
        services.exports -= 1


async def _read(source: EventSource, after: int, count: int = CHUNK) -> LogRecords:
    try:
        return await asyncio.to_thread(source.read, after, count, 0)
    except LogTrimmed as exc:
        raise Problem(503, f"{exc}: name the archive (PEREGRINE_ARCHIVE_URL) to this process, too") from exc


async def _after_erasure(user_id: str, source: EventSource, services: ApiServices) -> int:
    """Offset behind the newest marker of the user: what came before is erased, though it may still be there."""
    after = 0
    for erasure in await services.log.pending_erasures():
        columns = Columns((await _read(source, erasure.offset - 1, 1)).part(0, 1))
        if columns.kind[0] == ERASE and columns.user[0] == user_id.encode():
            after = erasure.offset
    return after


async def _record(user_id: str, users: Users, services: ApiServices) -> list[dict[str, Any]]:
    names = await names_of(users, services)
    row = users.rows[0]
    state = {name: row[name].tolist() for name in users.rows.dtype.names or () if not name.startswith("nb_")}
    pairs = pairs_of(users, names)
    for pair, decayed in zip(pairs, users.pairs["decayed"].tolist(), strict=True):
        pair["decayed"] = decayed
    return [
        {"record": "user", "user_id": user_id, **counts_of(users), "state": state},
        *({"record": "neighbour"} | slot for slot in neighbours_of(users, names, services.model.spec.event_types)),
        *({"record": "pair"} | pair for pair in pairs),
    ]


async def _profile(user_id: str, services: ApiServices) -> list[dict[str, Any]]:
    [stored] = await services.profiles.read([user_id])
    if stored == StoredProfile():
        return []
    line: dict[str, Any] = {"record": "profile"} | profile_of(user_id, stored, services)
    if stored.profile is not None:
        line["vectors"] = {name: row.tolist() for name, row in zip(FACETS, stored.profile.vectors, strict=True)}
        line["memory"] = stored.profile.memory.tolist()
    return [line]


def _events(user_id: str, records: LogRecords) -> list[dict[str, Any]]:
    """The user's events and switches among `records`."""
    wanted = user_id.encode()
    if wanted not in records.data:
        return []
    columns = Columns(records.take(readable(records)))
    places = [place for place, user in enumerate(columns.user) if user == wanted and columns.kind[place] != ERASE]
    return [_event(columns, place) for place in places]


def _event(columns: Columns, place: int) -> dict[str, Any]:
    at = {"offset": int(columns.records.offset[place]), "timestamp": format_time(int(columns.records.timestamp[place]))}
    if columns.kind[place] == SWITCH:
        return {"record": "switch", **at, "personalised": bool(columns.value[place])}
    event = columns.event(place)
    shown = {"event_id": event.event_id, "item_id": event.item_id, "type": event.type, "value": event.value}
    return {"record": "event", **at, **shown, **(from_json(event.extra) if event.extra else {})}


def _join(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(to_json(line) + b"\n" for line in lines)
