"""What every answer of the pages carries, and who gets one: an ASGI middleware around everything, sockets too."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.ui.sessions import COOKIE, Doors

SIGN_IN = "/sign-in"
PUBLIC = ("/assets/", "/livez", SIGN_IN)
"""Begin the paths that are answered to everybody."""
POLICY = "; ".join(
    (
        "default-src 'self'",
        # Vue compiles its templates in the browser, and the library's page begins with inline modules
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_LOCAL = {"localhost", "127.0.0.1", "::1"}


class Gate:
    """Turns away strangers, names that are not this machine's while no key protects it, and sockets of other sites."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self.app = app
        self.doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._foreign(headers):
            await _refuse(scope, receive, send, PlainTextResponse("not from here", 403))
        elif not scope["path"].startswith(PUBLIC) and not self.doors.admits(_token(headers)):
            await _refuse(scope, receive, send, RedirectResponse(SIGN_IN, 303))
        else:
            await self.app(scope, receive, _with_headers(send))

    def _foreign(self, headers: Headers) -> bool:
        """A page of another site, or a name that was made to point here (DNS rebinding)."""
        host = headers.get("host", "")
        origin = headers.get("origin")
        other_site = origin is not None and urlsplit(origin).netloc != host
        return other_site or (self.doors.open and urlsplit(f"//{host}").hostname not in _LOCAL)


def _token(headers: Headers) -> str | None:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


async def _refuse(scope: Scope, receive: Receive, send: Send, answer: PlainTextResponse | RedirectResponse) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await answer(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return sending
