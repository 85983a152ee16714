"""One page load: who looks, in which language, and the client they ask the service with."""

from __future__ import annotations

import string
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from service.client import AsyncClient, Busy, ClientError, Conflict, NotFound, Refused, Unauthorised, Unreachable
from service.client.calls import Call
from service.ui.curl import curl
from service.ui.sessions import COOKIE, Doors
from service.ui.texts import LANGUAGES, preferred, texts

LANGUAGE_COOKIE = "peregrine_language"
DARK_COOKIE = "peregrine_dark"
_ERRORS: tuple[tuple[type[ClientError], str], ...] = (
    (Unreachable, "unreachable"),
    (Unauthorised, "unauthorised"),
    (NotFound, "not_found"),
    (Conflict, "conflict"),
    (Busy, "busy"),
    (Refused, "refused"),
)


@dataclass(frozen=True)
class Visit:
    """doors: clients and sessions of this process; session: the cookie's; dark: None follows the system."""

    doors: Doors
    language: str
    dark: bool | None
    session: str | None
    users: Sequence[str] = ()

    @property
    def service(self) -> AsyncClient:
        """The client with this visitor's key."""
        return self.doors.client(self.session)

    def t(self, key: str, **values: object) -> str:
        """The text of that key in the visitor's language."""
        return string.Template(texts(self.language)[key]).substitute(values)

    def curl(self, call: Call[Any]) -> str:
        """The request as a shell command."""
        return curl(call, self.service.url, self.doors.keyed)

    def explain(self, exc: ClientError) -> tuple[str, str]:
        """What went wrong, in the visitor's language, and what the service said of it."""
        kind = next((name for kind, name in _ERRORS if isinstance(exc, kind)), "other")
        return self.t(f"error.{kind}"), str(exc)


def visit_of(request: Request, doors: Doors, users: Sequence[str]) -> Visit:
    """As the request's cookies and headers say."""
    language = request.cookies.get(LANGUAGE_COOKIE, "")
    if language not in LANGUAGES:
        language = preferred(request.headers.get("accept-language", ""))
    dark = {"1": True, "0": False}.get(request.cookies.get(DARK_COOKIE, ""))
    return Visit(doors, language, dark, request.cookies.get(COOKIE), users)


Load = Callable[[], Awaitable[None]]
