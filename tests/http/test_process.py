"""The API as a process: it answers what is under way before it stops, and its mistakes at the start are one line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import httpx

from service.embedded import EmbeddedValkey
from tests.http.running import DEADLINE, event
from tests.spawned import spawned


@contextmanager
def process(**settings: str) -> Iterator[subprocess.Popen[str]]:
    values = {f"PEREGRINE_{name.upper()}": value for name, value in ({"log_format": "json"} | settings).items()}
    with spawned("-m", "service.processes.child", "api", env=os.environ | values) as started:
        yield started


def until(started: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first line on stderr that holds the pattern."""
    assert started.stderr
    for line in started.stderr:
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"no line with {pattern}")


def test_what_is_under_way_is_answered_before_it_stops(valkey: EmbeddedValkey) -> None:
    stores = {"log_url": valkey.log_url, "state_url": valkey.state_url, "prefix": f"http-{uuid4().hex}"}
    with process(**stores, port="0", embed_text="off") as started:
        url = until(started, r'"url": "(http://[^"]+)"')[1]
        until(started, "startup complete")
        with ThreadPoolExecutor() as pool, httpx.Client(base_url=url, timeout=DEADLINE) as http:
            http.post("/v1/events", json=event()).raise_for_status()  # the connection is open
            waiting = pool.submit(http.post, "/v1/events?wait=applied", json=event())  # there is no worker: 2 s
            with httpx.Client(base_url=url) as other:
                while other.get("/readyz").json().get("log_end", 0) < 2:
                    pass
            started.send_signal(signal.SIGTERM)
            assert waiting.result(DEADLINE).json()["accepted"] == 1
        assert started.wait(DEADLINE) == 0


def test_a_mistake_at_the_start_is_one_line_that_says_what_to_do() -> None:
    for settings, said in (
        ({"host": "0.0.0.0", "state_url": "redis://127.0.0.1:1"}, "PEREGRINE_API_KEY"),  # noqa: S104 - refused
        ({"port": "0"}, "PEREGRINE_STATE_URL is not set"),
        ({"port": "0", "state_url": "redis://127.0.0.1:1", "bundle": "/nowhere"}, "/nowhere is not a bundle"),
    ):
        with process(**settings) as started:
            assert started.stderr
            errors = started.stderr.read()
            assert started.wait(DEADLINE) == 1
            (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
            assert said in line
            assert "Traceback" not in errors
