"""A real language model, small enough for any machine, behind the real worker. Its wording is not judged."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.adapters.chat_endpoint import ChatEndpoint
from service.adapters.chat_profiler import ChatProfiler
from service.adapters.http_endpoint import HttpEndpoint
from service.adapters.in_memory_profiles import InMemoryTokenBudget
from service.client import Client
from service.client.errors import NotFound
from service.embedded import EmbeddedValkey
from service.processes.all_in_one import Stack
from service.profile_path.hygiene import LIMITS
from service.profile_path.untrusted import PHRASE
from service.settings import load_settings
from tests.e2e.bundle import make_bundle
from tests.e2e.processes import environment, process
from tests.profiles.endpoint import FakeEndpoint
from tests.profiles.histories import RUNNER
from tests.profiles.words import WordEmbedder

pytestmark = [pytest.mark.llm, pytest.mark.timeout(1_800)]

DEADLINE = 900.0
START = 1_700_000_000
ITEMS = [
    {"item_id": "shoe", "title": "Trail running shoe Falcon", "category": "shoes", "brand": "Kestrel"},
    {"item_id": "vest", "title": "Trail running vest", "category": "apparel", "brand": "Kestrel"},
    {"item_id": "tea", "title": "Green tea", "category": "food", "brand": "Wren"},
    {"item_id": "pot", "title": "Cast iron tea pot", "category": "kitchen", "brand": "Wren"},
]
HAD = {"ann": ["shoe", "vest", "shoe"], "bob": ["tea", "pot", "tea"]}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of the model's API."""
    command = [sys.executable, "-m", "tests.llm.serve"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout
            address = server.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:"), "it did not start: run it alone, python -m tests.llm.serve"
            yield f"{address}/v1"
        finally:
            server.kill()


def test_the_answer_has_the_schemas_shape_at_the_first_call(url: str) -> None:
    async def ask() -> tuple[dict[str, list[str]], int]:
        http = HttpEndpoint(url, None, DEADLINE, 1)
        budget = InMemoryTokenBudget(10**6)
        try:
            profiler = ChatProfiler(ChatEndpoint(http, "smollm2", budget), 500)
            answer = await profiler.describe(RUNNER)
        finally:
            await http.aclose()
        return {name: list(phrases) for name, phrases in answer.items()}, sum(budget.used.values())

    answer, spent = asyncio.run(ask())
    assert answer.keys() == LIMITS.keys()
    for facet, phrases in answer.items():
        assert len(phrases) <= LIMITS[facet]
        assert all(len(phrase) <= PHRASE for phrase in phrases)
    assert set(answer["category"]) <= {"shoes", "apparel"}
    assert set(answer["brand"]) <= {"Kestrel", "Wren"}
    assert 0 < spent < 4_000


def test_the_worker_makes_profiles_with_it(valkey: EmbeddedValkey, prefix: str, tmp_path: Path, url: str) -> None:
    """Events in over HTTP, profiles out over HTTP."""
    with FakeEndpoint(embedder=WordEmbedder(8)) as embedder:
        more = {"embed_url": embedder.url, "embed_model": "words", "state_timeout": 5.0}
        settings = load_settings(
            log_url=valkey.log_url, state_url=valkey.state_url, prefix=prefix, bundle=make_bundle(tmp_path),
            clock="event", port=0, profiles="off", **more,
        )  # fmt: skip
        with Stack(settings, lambda *_: None) as stack, stack.client() as client:
            client.put_items(ITEMS)
            events = [
                {"user_id": user, "item_id": item, "timestamp": START + k}
                for user, items in HAD.items()
                for k, item in enumerate(items)
            ]
            client.post_events(events)
            model = {"chat_url": url, "chat_model": "smollm2", "chat_timeout": 600, "chat_concurrency": 1}
            with process(["profiler"], environment(stack.settings, **more, **model)) as profiler:
                found = {user: described(client, user) for user in HAD}
        assert not [line for line in profiler.said if "tea" in line or "running" in line]  # no titles in the log
    for user, profile in found.items():
        own = [item for item in ITEMS if item["item_id"] in HAD[user]]
        assert (profile["source"], profile["model"], profile["made_from"]["events"]) == ("chat", "smollm2", 3)
        phrases = {name: facet["phrases"] for name, facet in profile["facets"].items()}
        assert set(phrases["category"]) <= {item["category"] for item in own}
        assert set(phrases["brand"]) <= {item["brand"] for item in own}
        assert all(len(phrase) <= PHRASE for each in phrases.values() for phrase in each)


def described(client: Client, user: str) -> dict[str, Any]:
    """The profile, once it is there."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return client.get_profile(user)
        except NotFound:
            assert time.monotonic() < deadline
            time.sleep(0.5)
