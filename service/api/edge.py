"""The outermost layer: request ids, the key, a limit on requests under way, log lines, the last resort for errors."""

from __future__ import annotations

import hashlib
import hmac
import re
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.ids import uuid7
from service.api.problems import Problem, answer, problem_of

log = structlog.get_logger("peregrine.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_LIMITED = "/v1"
_USER = re.compile(r"(/users/).+?((?:/(?:recommendations|personalised|export))?)$", re.DOTALL)
_CLIENT_LEFT = 499  # as in nginx's logs: there is nobody to answer any more


class Edge:
    """ASGI middleware. api_key: None where callers need none; guarded: beginnings of the paths that need it."""

    def __init__(self, app: ASGIApp, api_key: str | None, guarded: tuple[str, ...], max_in_flight: int) -> None:
        self._app = app
        self._key = None if api_key is None else _digest(api_key)
        self._guarded = guarded
        self._max_in_flight = max_in_flight
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, send)
        with structlog.contextvars.bound_contextvars(request_id=request.id):
            self._in_flight += 1
            try:
                await self._handle(request, receive)
            finally:
                self._in_flight -= 1
                request.write_line()

    async def _handle(self, request: _Request, receive: Receive) -> None:
        scope = request.scope
        try:
            if refusal := self._refusal(scope):
                await answer(refusal, scope["path"], request.id)(scope, receive, request.send)
            else:
                await self._app(scope, receive, request.send)
        except ClientDisconnect:
            request.status = request.status or _CLIENT_LEFT
        except Exception as exc:
            problem = problem_of(exc)
            if not request.status:
                await answer(problem, scope["path"], request.id)(scope, receive, request.send)

    def _refusal(self, scope: Scope) -> Problem | None:
        path: str = scope["path"]
        if self._key is not None and path.startswith(self._guarded) and not self._holds_key(scope, self._key):
            detail = "send the API key as `Authorization: Bearer <key>` or `X-API-Key: <key>`"
            return Problem(401, detail, headers={"www-authenticate": "Bearer"})
        if path.startswith(_LIMITED) and self._in_flight > self._max_in_flight:
            return Problem(503, f"{self._max_in_flight} requests are under way; try again later")
        return None

    @staticmethod
    def _holds_key(scope: Scope, key: bytes) -> bool:
        return hmac.compare_digest(_digest(_key_of(Headers(scope=scope))), key)


def _key_of(headers: Headers) -> str:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


class _Request:
    """One request under way. id: the caller's, if it is one, else ours; status: 0 until the answer begins."""

    def __init__(self, scope: Scope, send: Send) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        self.id = given if _REQUEST_ID.fullmatch(given) else uuid7()
        self.scope = scope
        self.status = 0
        self._send = send
        self._started = time.perf_counter()
        scope.setdefault("state", {})["request_id"] = self.id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["x-request-id"] = self.id
        await self._send(message)

    def write_line(self) -> None:
        """Good answers at debug level: the hot path must not wait for a log."""
        level = "debug" if self.status < 400 else "error" if self.status == 500 else "info"
        milliseconds = round(1000 * (time.perf_counter() - self._started), 2)
        scope = self.scope
        getattr(log, level)(
            "request", method=scope["method"], path=_shown(scope["path"]), status=self.status, milliseconds=milliseconds
        )


def _shown(path: str) -> str:
    """The path without the user's id: lines are kept where nobody can erase it."""
    return _USER.sub(r"\1{user_id}\2", path)


def _digest(key: str) -> bytes:
    """Digests are compared, so that neither the key's length nor its beginning shows in the time it takes."""
    return hashlib.sha256(key.encode()).digest()
