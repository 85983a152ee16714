"""A relay between a client and the service that goes wrong as it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import httpx

Turn = Literal["lose", "busy", "many", "refuse"]
_SAYS = {"busy": (503, "1"), "many": (429, "1"), "refuse": (422, None)}


@dataclass
class Relay:
    """turns: what becomes of the next requests. lose: the service gets it, the caller no answer; busy, many: 503, 429,
    to come back in a second; refuse: 422. Later ones pass. sent: (monotonic time, body) of all requests."""

    url: str
    port: int = 0
    turns: list[Turn] = field(default_factory=list)
    sent: list[tuple[float, list[dict[str, str]]]] = field(default_factory=list)
    may_pass: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"] or 0))
        headers = {
            name: handler.headers[name] for name in ("content-type", "content-encoding") if handler.headers[name]
        }
        plain = httpx.Response(200, headers=headers, content=body).content if headers else body
        self.sent.append((time.monotonic(), json.loads(plain or b"[]")))
        self.may_pass.wait(10.0)
        turn = self.turns.pop(0) if self.turns else None
        if turn in _SAYS:
            status, wait = _SAYS[turn]
            _answer(handler, status, b'{"title": "Later", "detail": "told to"}', wait)
            return
        answer = httpx.request(handler.command, self.url + handler.path, content=body, headers=headers)
        if turn == "lose":
            handler.close_connection = True
            return
        _answer(handler, answer.status_code, answer.content, None)


def _answer(handler: BaseHTTPRequestHandler, status: int, content: bytes, wait: str | None) -> None:
    handler.send_response(status)
    handler.send_header("content-length", str(len(content)))
    if wait:
        handler.send_header("retry-after", wait)
    handler.end_headers()
    handler.wfile.write(content)


@contextmanager
def relayed(url: str) -> Iterator[Relay]:
    """A relay to the service at `url`."""
    relay = Relay(url)
    relay.may_pass.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            relay.handle(self)

        def do_GET(self) -> None:
            relay.handle(self)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        relay.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield relay
        finally:
            server.shutdown()
            thread.join()
