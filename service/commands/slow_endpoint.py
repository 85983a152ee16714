"""A language model's API for measurements: it takes its time, and answers with words of what it was told."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Self

from pydantic_core import from_json, to_json

from service.profile_path.hygiene import LIMITS


class SlowEndpoint:
    """Async context manager. seconds: of a call. asked: calls answered; most: of them at once; first, last: when the
    first one came and the last one was answered (`time.perf_counter`)."""

    def __init__(self, seconds: float) -> None:
        self.asked = self.most = 0
        self.first = self.last = 0.0
        self._seconds = seconds
        self._now = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                writer.write(await self._answer(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()  # whoever asked has gone
        finally:
            self._open.discard(writer)

    async def _answer(self, body: bytes) -> bytes:
        self.first = self.first or time.perf_counter()
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(self._seconds)
        self._now -= 1
        content = to_json(_completion(from_json(body)))
        self.asked, self.last = self.asked + 1, time.perf_counter()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        return head.encode() + content


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    items = from_json(body["messages"][-1]["content"])
    words = [word for item in items for word in item.get("title", "").split()]
    said = {"crowd": [f"fans of {words[0]}"], "interest": words} | {
        name: [item[name] for item in items if name in item] for name in ("category", "brand")
    }
    cut = {name: list(dict.fromkeys(phrases))[: LIMITS[name]] for name, phrases in said.items()}
    message = {"role": "assistant", "content": to_json(cut).decode()}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"total_tokens": 400}}
