"""The outermost layer: request ids, the gate, a limit on requests under way, log lines, the last resort for errors."""

from __future__ import annotations

import logging
import re
import time
from functools import lru_cache

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.audit import Audit
from service.api.gate import Gate
from service.api.ids import uuid7
from service.api.problems import Problem, answer, problem_of
from service.api.timings import Timings
from service.tracing import FIELD, Span, Tracer, well_formed

log = structlog.get_logger("peregrine.access")
_debug = logging.getLogger("peregrine.access")
"""Asked before a line at debug level is made: that costs more than all else here."""

_FIELD = FIELD.encode()
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SECURITY: tuple[tuple[str, str], ...] = (
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
)
"""A page that needs more says so itself."""
_LIMITED = "/v1"
_USER = re.compile(
    r"(/users/).+?((?:/(?:recommendations|personalised|export|similar|profile(?:/refresh)?))?)$", re.DOTALL
)
_CLIENT_LEFT = 499  # as in nginx's logs: there is nobody to answer any more


class Edge:
    """ASGI middleware."""

    def __init__(
        self, app: ASGIApp, gate: Gate, audit: Audit, timings: Timings, max_in_flight: int, tracer: Tracer | None = None
    ) -> None:
        self._app = app
        self._gate = gate
        self._audit = audit
        self._timings = timings
        self._max_in_flight = max_in_flight
        self._tracer = tracer
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, send, self._tracer)
        with structlog.contextvars.bound_contextvars(request_id=request.id, **request.traced):
            self._in_flight += 1
            try:
                await self._handle(request, receive)
            finally:
                self._in_flight -= 1
                request.write_line()
                route = getattr(scope.get("route"), "path", None)
                self._timings.request(scope["method"], route, request.status, request.seconds)
                request.end_span(route)

    async def _handle(self, request: _Request, receive: Receive) -> None:
        scope = request.scope
        visit = self._gate.visit(scope["method"], scope["path"], Headers(scope=scope))
        if visit.headers:
            request.headers += visit.headers
        try:
            if refusal := visit.refusal or self._overload(scope):
                await answer(refusal, scope["path"], request.id)(scope, receive, request.send)
            else:
                await self._app(scope, receive, request.send)
        except ClientDisconnect:
            request.status = request.status or _CLIENT_LEFT
        except Exception as exc:
            problem = problem_of(exc)
            if not request.status:
                await answer(problem, scope["path"], request.id)(scope, receive, request.send)
        finally:
            if self._audit.watches(visit.scope, scope["method"]):
                path = _shown(scope["path"])
                self._audit.note(visit.key, visit.scope, scope["method"], path, request.status, request.id)

    def _overload(self, scope: Scope) -> Problem | None:
        if scope["path"].startswith(_LIMITED) and self._in_flight > self._max_in_flight:
            return Problem(503, f"{self._max_in_flight} requests are under way; try again later")
        return None


def _sent(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for given, value in scope["headers"] if given == name), "")


class _Request:
    """One request under way. id: the caller's, if it is one, else ours; status: 0 until the answer begins; headers: of
    every answer to it."""

    def __init__(self, scope: Scope, send: Send, tracer: Tracer | None) -> None:
        given = _sent(scope, b"x-request-id")
        self.id = given if given and _REQUEST_ID.fullmatch(given) else uuid7()
        self.scope = scope
        self.status = 0
        self.headers = _SECURITY
        self._send = send
        self._started = time.perf_counter()
        state = scope.setdefault("state", {})
        state["request_id"] = self.id
        self._context = well_formed(_sent(scope, _FIELD) or None)
        self._span: Span | None = None
        if tracer is not None and scope["path"].startswith(_LIMITED):
            self._span = tracer.begin(scope["method"], self._context, kind="server")
            self._context = self._span.context
            if self._span.sampled:
                state["trace"] = self._context

    @property
    def seconds(self) -> float:
        """Since it came."""
        return time.perf_counter() - self._started

    @property
    def traced(self) -> dict[str, str]:
        """What lines of the log name beside the request, if it is part of a trace."""
        return {} if self._context is None else {"trace_id": self._context.split("-")[1]}

    def end_span(self, route: str | None) -> None:
        """route: its template; a path may hold the id of a person."""
        if self._span is not None and self._span.sampled:
            method = self.scope["method"]
            error = "the service failed" if self.status >= 500 else ""
            said: dict[str, str | int] = {"http.request.method": method, "http.response.status_code": self.status}
            said |= {"http.route": route or "none", "peregrine.request_id": self.id}
            self._span.end(f"{method} {route or 'none'}", error, **said)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = message["headers"]
            present = {name for name, _ in given}
            ours = [(b"x-request-id", self.id.encode()), *_encoded(self.headers)]
            if self._context is not None:
                ours.append((_FIELD, self._context.encode()))
            message["headers"] = [*given, *(pair for pair in ours if pair[0] not in present)]
        await self._send(message)

    def write_line(self) -> None:
        """Good answers at debug level: the hot path must not wait for a log."""
        level = "debug" if self.status < 400 else "error" if self.status == 500 else "info"
        if level == "debug" and not _debug.isEnabledFor(logging.DEBUG):
            return
        milliseconds = round(1000 * self.seconds, 2)
        scope = self.scope
        getattr(log, level)(
            "request", method=scope["method"], path=_shown(scope["path"]), status=self.status, milliseconds=milliseconds
        )


@lru_cache(maxsize=256)
def _encoded(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers)


def _shown(path: str) -> str:
    """The path without the user's id: lines are kept where nobody can erase it."""
    return _USER.sub(r"\1{user_id}\2", path)
