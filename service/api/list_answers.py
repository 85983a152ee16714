"""What is answered about lists: plain dictionaries, turned into bytes once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from service.api.services import ApiServices
from service.core import cursors
from service.core.impressions import Impression
from service.core.times import format_time
from service.request_path import Recommendation
from service.request_path import Request as Asked
from service.trials import Seat


def timed(services: ApiServices, found: Sequence[Recommendation], body: bytes) -> Response:
    """The response, with what each stage took, which is counted, too. found: lists that were made together."""
    stages = found[0].stages
    for one in found:
        services.timings.listed(one.strategy, one.degraded)
    services.timings.staged(stages)
    timing = ", ".join(f"{stage};dur={1000 * seconds:.3f}" for stage, seconds in stages.items())
    return Response(body, headers={"server-timing": timing}, media_type="application/json")


def answer_of(found: Recommendation, seat: Seat, request_id: str, first: int) -> dict[str, Any]:
    """first: rank of the first item."""
    return {
        "request_id": request_id,
        "items": items_of(found, first),
        "model": {"version": seat.line.bundle.version, "variant": seat.variant},
        "strategy": found.strategy,
        "personalised": found.personalised,
        "degraded": found.degraded,
        "state": {
            "events_seen": found.events_seen,
            "last_event_at": shown(found.last_event_at),
            "offset": found.offset,
            "items_as_of": shown(found.items_as_of),
            "profile_source": found.profile.maker.source if found.profile else None,
            "profile_made_at": shown(found.profile.made_at) if found.profile else None,
            "stale": found.stale,
        },
    }


def items_of(found: Recommendation, first: int) -> list[dict[str, Any]]:
    ranked = zip(found.item_ids, found.scores, range(first, first + len(found.item_ids)), strict=True)
    items: list[dict[str, Any]] = [
        {"item_id": item_id, "score": score, "rank": rank} for item_id, score, rank in ranked
    ]
    for item, reason in zip(items, found.reasons, strict=False):  # none, or one for each
        item["reason"] = reason
    if found.pinned or found.explored:
        for item in items:
            if item["item_id"] in found.pinned:
                item["pinned"] = True
            elif item["item_id"] in found.explored:
                item["explored"] = True
    return items


def batch_of(
    user_ids: Sequence[str], list_ids: Sequence[str], found: Sequence[Recommendation], seat: Seat, request_id: str
) -> dict[str, Any]:
    """Lists in the order of the users, each with an id that events can name; what is the same for all stands once."""
    results = [
        {
            "user_id": user_id,
            "request_id": list_id,
            "items": items_of(one, 1),
            "strategy": one.strategy,
            "personalised": one.personalised,
            "events_seen": one.events_seen,
            "last_event_at": shown(one.last_event_at),
            "degraded": one.degraded,
        }
        for user_id, list_id, one in zip(user_ids, list_ids, found, strict=True)
    ]
    answer = answer_of(found[0], seat, request_id, 1)
    shared = {name: answer["state"][name] for name in ("offset", "items_as_of", "stale")}
    return {"request_id": request_id, "results": results, "model": answer["model"], "state": shared}


def impression_of(found: Recommendation, seat: Seat, request_id: str, first: int) -> Impression:
    """What is kept of an answer."""
    return Impression(
        request_id,
        int(time.time()),
        tuple(found.item_ids),
        found.strategy,
        seat.line.bundle.version,
        first,
        tuple(found.pinned),
        tuple(found.explored),
        *(() if seat.experiment is None else (seat.experiment.id, seat.variant, seat.bucket)),
    )


def next_cursor(found: Recommendation, asked: Asked, services: ApiServices) -> str | None:
    """The cursor of the next page; None after a short page, and when the session has been shown all that it may be."""
    if len(found.item_ids) < asked.k or len(found.served) > cursors.MOST:
        return None
    return cursors.sign(found.served, asked.user_id or "", services.cursor_key)


def shown(seconds: int | None) -> str | None:
    return None if seconds is None else format_time(seconds)
