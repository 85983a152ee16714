"""Traces that follow an event from its POST to the first list that shows it. Without a tracer nobody looks.

    POST (its span) -> log (the record carries `traceparent`) -> commit of the worker (child of the first event's span,
    linked to all) -> feed entry (carries the commit's) -> replica follows (child) -> first list (child, linked to
    its GET)

Only what is sampled is carried. Spans hold routes, statuses, offsets and request ids; nothing of a person.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol

from service.core.log_records import Columns

FIELD = "traceparent"
"""Of a request, an answer, and the extra of an event in the log."""
MOST_LINKS = 100
"""Traced events that one commit names."""
_MOST_WAITING = 1_000
_CONTEXT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_MARK = b'"traceparent":"'

Kind = Literal["server", "internal"]


class Span(Protocol):
    """context: its `traceparent`; sampled: whether it goes anywhere."""

    @property
    def context(self) -> str: ...

    @property
    def sampled(self) -> bool: ...

    def end(self, name: str = "", error: str = "", **attributes: str | int) -> None:
        """Only the first call counts."""


class Tracer(Protocol):
    """Begins spans. parent, links: `traceparent`s that are well formed."""

    def begin(
        self, name: str, parent: str | None = None, links: Sequence[str] = (), kind: Kind = "internal"
    ) -> Span: ...

    def close(self) -> None:
        """Sends what waits, for a few seconds at most."""


def well_formed(context: str | None) -> str | None:
    """What a caller sent as `traceparent`, if it is one."""
    return context if context is not None and _CONTEXT.fullmatch(context) else None


def traced(columns: Columns, places: Sequence[int]) -> list[tuple[int, str]]:
    """(offset, `traceparent`) of the events at `places` that carry one, MOST_LINKS at most."""
    return list(_traced(columns, places)) if _MARK in columns.records.data else []


def _traced(columns: Columns, places: Sequence[int]) -> Iterator[tuple[int, str]]:
    found = 0
    for place in places:
        if _MARK in columns.extra[place] and (context := _of(columns.extra[place])):
            found += 1
            yield int(columns.records.offset[place]), context
            if found == MOST_LINKS:
                return


def _of(extra: bytes) -> str | None:
    """Callers may write the word, too, further inside: only ours stands at the top."""
    told = json.loads(extra)
    return well_formed(told.get(FIELD)) if isinstance(told, dict) else None


def pack(context: str, offsets: Sequence[int]) -> str:
    """What a feed entry carries: the context of its commit, and the offsets of the traced events in it."""
    return f"{context} {','.join(map(str, offsets))}"


@contextmanager
def ending(span: Span | None, records: int) -> Iterator[None]:
    """Ends the span, if there is one, with the block, however it ends."""
    try:
        yield
    except BaseException as exc:
        if span is not None:
            span.end(error=type(exc).__name__, records=records)
        raise
    if span is not None:
        span.end(records=records)


class Followed:
    """One replica's part: it knows which traced events have come to it, and waits for the first list that shows one."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._waiting: OrderedDict[int, str] = OrderedDict()  # contexts by offset; the oldest are given up

    def applied(self, trace: str) -> None:
        """The entry with this trace is in the index now."""
        context, _, offsets = trace.partition(" ")
        if well_formed(context) is None:
            return
        span = self._tracer.begin("replica follows", parent=context)
        for offset in offsets.split(","):
            self._waiting[int(offset)] = span.context
        span.end()
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)

    def listed(self, offset: int, request: str | None) -> None:
        """A list was made for somebody whose newest event has this offset. request: the context of the request."""
        if (context := self._waiting.pop(offset, None)) is not None:
            links = () if request is None else (request,)
            self._tracer.begin("first list", parent=context, links=links).end(offset=offset)
