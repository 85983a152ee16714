"""A service as its users meet it: API over HTTP on a free port, worker beside it, real Valkey behind both."""

from __future__ import annotations

import re
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

import httpx

from service.adapters.bundle import Bundle
from service.processes.api import make_server
from service.processes.listening import listen
from service.processes.worker import Worker
from service.settings import Settings
from service.wiring import build_api, build_worker
from tests.process.toy import ToyModel

DEADLINE = 10.0  # seconds after which something that should have happened has not


def toy_bundle() -> Bundle:
    model = ToyModel()
    return Bundle(model, "toy-1", "toy")


class Running:
    """Context manager. bundle None: serve without one; worker False: nothing is ever applied."""

    def __init__(self, settings: Settings, bundle: Bundle | None, worker: bool = True, ready: bool = True) -> None:
        self.settings = settings
        self._listener = listen("127.0.0.1", 0)
        self.port: int = self._listener.getsockname()[1]
        self.services = build_api(settings, bundle)
        self._server = make_server(self.services)
        self._threads = [threading.Thread(target=self._server.run, args=([self._listener],), daemon=True)]
        self.worker = Worker(build_worker(settings, bundle), settings) if worker else None
        if self.worker:
            self._threads.append(threading.Thread(target=self.worker.run, daemon=True))
        self._ready = ready
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=DEADLINE)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        try:
            if self._ready:
                self.until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self.http.close()
        self._server.should_exit = True
        if self.worker:
            self.worker.stop.set()
        for thread in self._threads:
            thread.join(3 * DEADLINE)
        self._listener.close()
        assert not [thread for thread in self._threads if thread.is_alive()], "a thread of the service does not end"

    def until_ready(self) -> None:
        """Until lists can be made, and the worker has begun: the first one of all begins with an empty state, for which
        a replica that was there before becomes unready once more."""
        deadline = time.monotonic() + DEADLINE
        while True:
            begun, answer = self._worker_has_begun(), self.http.get("/readyz")
            if begun and answer.is_success:
                return
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.01)

    def _worker_has_begun(self) -> bool:
        if self.worker is None:
            return True
        key = self.settings.api_key
        headers = {} if key is None else {"x-api-key": key.get_secret_value()}
        return bool(re.search(r"^peregrine_writer_epoch [1-9]", self.http.get("/metrics", headers=headers).text, re.M))

    def post(self, events: Any, **params: str) -> dict[str, Any]:
        """Posts events and returns the answer to what must succeed."""
        answer = self.http.post("/v1/events", json=events, params=params)
        assert answer.is_success, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def applied(self, events: Any) -> dict[str, Any]:
        body = self.post(events, wait="applied")
        assert body["applied"], body
        return body

    def recommend(self, user_id: str, **params: str | int | bool) -> dict[str, Any]:
        answer = self.http.get(f"/v1/users/{user_id}/recommendations", params=params)
        assert answer.status_code == httpx.codes.OK, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def send_raw(self, request: bytes) -> bytes:
        """Bytes to the port, and the beginning of what comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection:
            connection.sendall(request)
            return connection.recv(65_536)


def event(user: str = "ann", item: str = "a", at: int | str = 1_700_000_000, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "type": "purchase", "timestamp": at, **more}


def assert_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The body of an answer that must be a problem of that status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:peregrine:problem:")
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return body
