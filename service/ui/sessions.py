"""Who may see the pages, and with which key each visitor asks the service."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, field

import httpx

from service.client import AsyncClient, Unauthorised

COOKIE = "peregrine_session"
SECONDS = 12 * 3_600
"""After which a visitor signs in again."""
MOST = 1_000
"""Sessions at once; the oldest goes."""
_TIMEOUT = httpx.Timeout(connect=2.0, read=10.0, write=10.0, pool=5.0)
_PATIENCE = 2.0
_MISSING = 401


@dataclass(frozen=True)
class _Session:
    client: AsyncClient
    until: float


@dataclass
class Doors:
    """Clients of the service by session. open: no signing in, everybody asks with `key` (on loopback only).

    Sessions live in memory alone, under the digest of their token: a restart signs everybody out.
    """

    url: str
    key: str | None
    open: bool
    _own: AsyncClient | None = None
    _sessions: dict[str, _Session] = field(default_factory=dict)

    @property
    def keyed(self) -> bool:
        """Whether requests carry a key."""
        return self.key is not None or not self.open

    def admits(self, token: str | None) -> bool:
        """Whether the bearer of that token may see a page."""
        return self.open or self._find(token) is not None

    def client(self, token: str | None) -> AsyncClient:
        """The client that belongs to a token. Raises Unauthorised once the session has ended."""
        if self.open:
            if self._own is None:
                self._own = self._connect(self.key)
            return self._own
        if (session := self._find(token)) is None:
            raise Unauthorised(_MISSING, {"title": "signed out"}, None)
        return session.client

    async def sign_in(self, key: str) -> str:
        """A new session's token. Raises Unauthorised for a key that the service does not know, ClientError if it
        cannot be asked."""
        client = self._connect(key)
        try:
            await client.page_items(limit=1)
        except Unauthorised as exc:
            if exc.status == _MISSING:
                await client.close()
                raise
        except BaseException:
            await client.close()
            raise
        await self._make_room()
        token = secrets.token_urlsafe(32)
        self._sessions[_digest(token)] = _Session(client, time.monotonic() + SECONDS)
        return token

    async def sign_out(self, token: str | None) -> None:
        if session := self._sessions.pop(_digest(token or ""), None):
            await session.client.close()

    async def close(self) -> None:
        clients = [session.client for session in self._sessions.values()] + ([self._own] if self._own else [])
        self._sessions.clear()
        for client in clients:
            await client.close()

    async def _make_room(self) -> None:
        while len(self._sessions) >= MOST:
            await self._sessions.pop(next(iter(self._sessions))).client.close()

    def _find(self, token: str | None) -> _Session | None:
        session = self._sessions.get(_digest(token or ""))
        return session if session is not None and session.until > time.monotonic() else None

    def _connect(self, key: str | None) -> AsyncClient:
        return AsyncClient(self.url, key, timeout=_TIMEOUT, patience=_PATIENCE)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
