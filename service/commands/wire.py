"""A bare HTTP/1.1 client for measuring: on a small machine a full one takes as much of the processors as the service,
and what is measured would be the instrument.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from service.client import ProblemError, UnexpectedAnswer, Unreachable

_PATIENCE = 30.0
"""Seconds for one request."""

_IDLE_SECONDS = 2.0
"""A connection idle for longer is not used again: the service may be closing it at this very moment."""


@dataclass
class Connection:
    """used: when, by time.monotonic."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: float


class Wire:
    """Kept-alive connections to one service, as many as requests are under way at once."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (443 if self._secure else 80)
        key = f"Authorization: Bearer {api_key}\r\n" if api_key else ""
        self._head = f"HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n{key}"
        self._idle: list[Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self._idle:
            connection.writer.close()

    async def ask(self, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
        """The JSON object that a 2xx answers. Raises ClientError for anything else."""
        _, content = await self.fetch(method, path, body)
        document = json.loads(content)
        if not isinstance(document, dict):
            raise UnexpectedAnswer(f"{method} {path} answers no JSON object")
        return document

    async def fetch(self, method: str, path: str, body: bytes = b"") -> tuple[bytes, bytes]:
        """(head in small letters, content) of a 2xx. Raises ClientError for anything else."""
        try:
            async with asyncio.timeout(_PATIENCE):
                connection = await self._connection()
                head, content = await self._exchange(connection, method, path, body)
        except (OSError, EOFError, TimeoutError) as exc:
            raise Unreachable(f"no answer from {self._host}:{self._port} ({exc or type(exc).__name__})") from exc
        connection.used = time.monotonic()
        self._idle.append(connection)
        if not 200 <= (status := int(head[9:12])) < 300:
            raise ProblemError(status, {"detail": content[:200].decode("utf-8", "replace")}, None)
        return head, content

    async def _connection(self) -> Connection:
        """The one used last, or a new one."""
        if self._idle and time.monotonic() - self._idle[-1].used < _IDLE_SECONDS:
            return self._idle.pop()
        for connection in self._idle:
            connection.writer.close()
        self._idle.clear()
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._secure or None)
        return Connection(reader, writer, time.monotonic())

    async def _exchange(self, connection: Connection, method: str, path: str, body: bytes) -> tuple[bytes, bytes]:
        """(head, content). The service always says how long its answers are."""
        reader, writer = connection.reader, connection.writer
        writer.write(f"{method} {path} {self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        _, _, rest = head.partition(b"\r\ncontent-length:")
        if not rest:
            raise UnexpectedAnswer(f"{method} {path}: an answer of unknown length")
        return head, await reader.readexactly(int(rest.partition(b"\r\n")[0]))
