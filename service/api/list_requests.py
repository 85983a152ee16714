"""What the request path is asked for, from query strings, bodies, placements and cursors."""

from __future__ import annotations

import secrets
import time

from pydantic import ValidationError
from pydantic_core import from_json

from service.api.list_queries import RecommendationQuery
from service.api.list_schemas import ListOptions, WhatIfEvent
from service.api.problems import FieldError, Problem, field_errors, show
from service.api.services import ApiServices
from service.core import cursors
from service.core.cursors import CursorRefused, Served
from service.core.rules import Rules
from service.lists.what_if import WhatIf
from service.request_path import Request as Asked

_OPTIONS = {"k", "exclude_seen", "exclude_seen_for", "diversity", "exploration", "seed", "include_ids", "exclude_ids"}
_SEEDS = 2**53


def asked_of(
    user_id: str | None,
    options: ListOptions,
    at: int | None,
    min_offset: int,
    served: Served,
    events: tuple[WhatIf, ...],
    explain: bool = False,
) -> Asked:
    """What the request path is asked for."""
    return Asked(
        user_id,
        options.k,
        at,
        options.exclude_seen,
        min_offset,
        explain,
        seen_within=options.exclude_seen_for,
        rules=rules_of(options),
        served=served,
        events=events,
    )


def rules_of(options: ListOptions) -> Rules:
    caps = {} if options.caps is None else options.caps.model_dump(exclude_none=True)
    return Rules(
        only=options.only,
        include_ids=tuple(options.include_ids or ()),
        hide=tuple(match.match() for match in options.hide),
        exclude_ids=tuple(options.exclude_ids),
        boosts=tuple((boost.match(), boost.factor) for boost in options.boosts),
        pins=tuple((pin.item_id, pin.rank) for pin in options.pins),
        caps=tuple(caps.items()),
        diversity=options.diversity,
        exploration=options.exploration,
        seed=secrets.randbelow(_SEEDS) if options.seed is None else options.seed,
    )


def what_ifs(events: list[WhatIfEvent], at: int | None, services: ApiServices) -> tuple[WhatIf, ...]:
    """Events without a time happen at the moment that is asked for."""
    moment = at if at is not None else services.replica.now() or int(time.time())
    return tuple(
        WhatIf(event.item_id, event.type, moment if event.timestamp is None else event.timestamp, event.value)
        for event in events
    )


def options_of(query: RecommendationQuery) -> ListOptions:
    """The options of a GET, those alone that it names. Raises Problem 422."""
    given = {name: getattr(query, name) for name in query.model_fields_set & _OPTIONS}
    try:
        more = {} if query.options is None else from_json(query.options)
    except ValueError as exc:
        message = f"is not JSON: {exc}"
        raise Problem(
            422, f"options {message}", [FieldError(field="options", value=show(query.options), message=message)]
        ) from exc
    caps = {"category": query.cap_category, "brand": query.cap_brand}
    if caps := {field: most for field, most in caps.items() if most is not None}:
        given["caps"] = caps
    try:
        ListOptions.model_validate(more)
        if (match := query.match()) is not None:
            given["filter"] = match
        return ListOptions.model_validate({**more, **given})
    except ValidationError as exc:
        errors = field_errors(exc.errors(include_url=False))
        raise Problem(422, "; ".join(f"{error.field}: {error.message}" for error in errors), errors) from exc


def served_of(cursor: str | None, owner: str, services: ApiServices) -> Served:
    if cursor is None:
        return cursors.nothing_served()
    try:
        return cursors.read(cursor, owner, services.cursor_key)
    except CursorRefused as exc:
        raise Problem(
            422, f"cursor: {exc}", [FieldError(field="cursor", value=show(cursor), message=str(exc))]
        ) from exc
