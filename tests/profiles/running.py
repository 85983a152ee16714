"""Profilers beside a service under test: in a thread, with an event loop of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from model.process.temporal_model import UserEmbeddings, UserInputs
from service.adapters.bundle import Bundle
from service.settings import Settings
from service.wiring_profiles import build_profiler
from tests.process.toy import TOY_SPEC, ToyModel

DEADLINE = 30.0
SPEC = TOY_SPEC.model_copy(update={"embedder": "words", "facet_dim": 256, "text_dim": 256})


class FacetModel(ToyModel):
    """Facets turn the temporal embedding: a profile changes every list."""

    def embed_users(self, inputs: UserInputs) -> UserEmbeddings:
        found = super().embed_users(inputs)
        turn = np.random.default_rng(0).standard_normal((SPEC.facet_dim, SPEC.dim)).astype(np.float32)
        h = found.h + 30.0 * (inputs.facets.sum(axis=1) @ turn) * inputs.has.any(axis=1)[:, None]
        return UserEmbeddings(h.astype(np.float32), found.w_pop, found.q_pair)


def facet_bundle() -> Bundle:
    model = FacetModel(SPEC)
    return Bundle(model, "facets-1", "facets")


@contextmanager
def profiler(settings: Settings, bundle: Bundle) -> Iterator[None]:
    """Runs one for the time of the block."""
    started = threading.Event()
    ends: list[Callable[[], None]] = []
    errors: list[BaseException] = []

    async def run() -> None:
        services = build_profiler(settings, bundle)
        loop = asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(services.working.stop.set) and None)
        started.set()
        try:
            await services.working.run()
        finally:
            await services.close()

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as exc:
            errors.append(exc)
        finally:
            started.set()

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    assert started.wait(DEADLINE)
    try:
        yield
    finally:
        for end in ends:
            end()
        thread.join(DEADLINE)
        assert not thread.is_alive()
        for error in errors:
            raise error


def until(true: Callable[[], bool], seconds: float = DEADLINE) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
