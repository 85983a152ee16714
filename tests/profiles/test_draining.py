"""A profiler that is told to go: soon, with nobody's turn lost."""

from __future__ import annotations

import signal
import time

import redis

from service.commands import bundles
from service.embedded import EmbeddedValkey
from service.processes.all_in_one import Stack
from service.settings import load_settings
from tests.e2e.processes import environment, process
from tests.profiles.endpoint import FakeEndpoint
from tests.profiles.test_many_users import post, stored, until
from tests.profiles.words import WordEmbedder

USERS = 6


def test_users_under_way_are_given_back_at_once_and_the_next_profiler_takes_them(
    valkey: EmbeddedValkey, prefix: str
) -> None:
    with (
        FakeEndpoint(delay=20.0, embedder=WordEmbedder(32)) as slow,
        FakeEndpoint(embedder=WordEmbedder(32)) as fast,
        redis.Redis.from_url(valkey.state_url) as server,
    ):
        settings = load_settings(
            log_url=valkey.log_url, state_url=valkey.state_url, prefix=prefix, bundle=bundles.shipped(),
            clock="event", port=0, profiles="off", embed_url=fast.url, embed_model="words", state_timeout=5.0,
        )  # fmt: skip
        more = {
            "chat_model": "small", "embed_url": fast.url, "embed_model": "words", "chat_concurrency": 2,
            "profiler_seconds": 0.05, "profile_nearness": 0, "state_timeout": 5.0,
        }  # fmt: skip
        with Stack(settings, lambda *_: None) as stack:
            post(stack, USERS)
            with process(["profiler"], environment(stack.settings, chat_url=slow.url, **more)) as going:
                until(lambda: slow.most == 2)
                began = time.monotonic()
                going.popen.send_signal(signal.SIGTERM)
                code, _ = going.ends()
            assert code == 0, going.said
            assert time.monotonic() - began < 10  # it waits for no call: their answers are 20 s away
            assert stored(server, prefix) == 0
            with process(["profiler"], environment(stack.settings, chat_url=fast.url, **more)):
                until(lambda: stored(server, prefix) == USERS)
            assert time.monotonic() - began < 30  # a claim that was kept would have had to run out first
