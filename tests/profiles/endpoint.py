"""A chat and embeddings endpoint as they are met: real HTTP on 127.0.0.1, strict about requests, faulty on demand."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.profiles.words import WordEmbedder

Json = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What is wrong with one answer. status with headers; body: bytes in place of a completion; content: the message's;
    cut: bytes after which the connection is closed; drip: seconds between two bytes."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content: str | None = None
    cut: int | None = None
    drip: float = 0.0


def describe(items: list[Json]) -> Json:
    """What this language model says of some items: the words of their titles, their categories and brands."""
    words = [word for item in items for word in item.get("title", "").split()]
    return {
        "crowd": [f"fans of {words[0]}"] if words else [],
        "interest": list(dict.fromkeys(words))[:6],
        "category": list(dict.fromkeys(item["category"] for item in items if "category" in item))[:5],
        "brand": list(dict.fromkeys(item["brand"] for item in items if "brand" in item))[:5],
    }


@dataclass
class FakeEndpoint:
    """Context manager. shapes: response formats it knows; limit: name of the parameter that bounds an answer; delay:
    seconds of a call; answer: of items; faults: of the next calls; down: every call is closed without a word.

    asked: bodies of the chat requests it took; most: of them at once.
    """

    shapes: tuple[str, ...] = ("json_schema", "json_object")
    limit: str = "max_tokens"
    delay: float = 0.0
    answer: Callable[[list[Json]], Json] = describe
    words_per_answer: int = 0
    faults: deque[Fault] = field(default_factory=deque)
    down: bool = False
    asked: list[Json] = field(default_factory=list)
    embedder: WordEmbedder = field(default_factory=WordEmbedder)
    most: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                endpoint.handle(self)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def handle(self, request: Any) -> None:
        body = json.loads(request.rfile.read(int(request.headers["content-length"])))
        if self.down:
            request.close_connection = True
            return
        if request.path == "/v1/embeddings":
            self._send(request, 200, self._embeddings(body), Fault())
            return
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            fault = self.faults.popleft() if self.faults else Fault()
        time.sleep(self.delay)
        status, answer = self._chat(body, fault)
        with self._lock:
            self._now -= 1  # before the answer goes out: the next call may come at once
        self._send(request, status, answer, fault)

    def _chat(self, body: Json, fault: Fault) -> tuple[int, Json]:
        if fault.status != 200:
            return fault.status, _error("as you wish")
        if wrong := self._wrong(body):
            return 400, _error(wrong)
        with self._lock:
            self.asked.append(body)
        return 200, self._complete(body, fault)

    def _wrong(self, body: Json) -> str:
        """What servers object to."""
        if missing := {"model", "messages"} - body.keys():
            return f"missing {missing}"
        if unknown := body.keys() - {"model", "messages", "stream", "response_format", self.limit}:
            wanted = f"use {self.limit} instead" if any("tokens" in name for name in unknown) else "unknown parameter"
            return f"unsupported parameter {sorted(unknown)}: {wanted}"
        wanted = body.get("response_format", {"type": "text"})
        if wanted["type"] not in (*self.shapes, "text"):
            return f"response_format {wanted['type']} is not supported"
        if wanted["type"] == "json_object" and "json" not in json.dumps(body["messages"]).casefold():
            return "messages must contain the word json"
        if wanted["type"] == "json_schema":
            return _wrong_schema(wanted["json_schema"]["schema"])
        return ""

    def _complete(self, body: Json, fault: Fault) -> Json:
        said = json.dumps(self.answer(json.loads(body["messages"][-1]["content"])), ensure_ascii=False)
        said = fault.content if fault.content is not None else said
        most = 4 * body[self.limit]  # characters: four make a token here
        cut = len(said) + 4 * self.words_per_answer > most
        used = (len(json.dumps(body["messages"])) + min(len(said), most)) // 4 + 1
        message = {"role": "assistant", "content": said[:most] if not self.words_per_answer or not cut else ""}
        choice = {"index": 0, "message": message, "finish_reason": "length" if cut else "stop"}
        return {"object": "chat.completion", "choices": [choice], "usage": {"total_tokens": used}}

    def _embeddings(self, body: Json) -> Json:
        """Rows in another order than asked for, and not of length 1, as some servers answer."""
        vectors = 3.0 * self.embedder.embed(body["input"])
        rows = [{"index": at, "embedding": row.tolist()} for at, row in enumerate(vectors)]
        return {"object": "list", "data": rows[::-1], "model": body["model"]}

    def _send(self, request: Any, status: int, answer: Json, fault: Fault) -> None:
        content = json.dumps(answer).encode() if fault.body is None else fault.body
        try:
            request.send_response(status)
            for name, value in fault.headers.items():
                request.send_header(name, value)
            request.send_header("content-type", "application/json")
            request.send_header("content-length", str(len(content)))
            request.end_headers()
            for at in range(0, len(content[: fault.cut]), 1 if fault.drip else len(content)):
                request.wfile.write(content[at : at + 1] if fault.drip else content[: fault.cut])
                time.sleep(fault.drip)
        except OSError:
            request.close_connection = True  # whoever asked has gone
        if fault.cut is not None:
            request.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Whoever asked has gone."""


def _error(message: str) -> Json:
    return {"error": {"message": message, "type": "invalid_request_error"}}


def _wrong_schema(schema: Json) -> str:
    if schema["additionalProperties"] is not False or set(schema["required"]) != set(schema["properties"]):
        return "strict schemas name every property and no other"
    for name, each in schema["properties"].items():
        if "maxItems" not in each or each["items"].get("enum") == []:
            return f"{name}: no bound, or nothing to choose from"
    return ""
