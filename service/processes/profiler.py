"""The profiler: finds users whose profile is due, and has them described. Any number may run; nobody waits for them."""

from __future__ import annotations

import asyncio
import gc
import signal

import structlog
import uvloop

from service.errors import StoreUnavailable
from service.meter import Meter
from service.processes.scrape import PROFILER, scraped
from service.settings import Settings
from service.wiring_profiles import ProfilerServices, build_profiler

log = structlog.get_logger("peregrine.profiler")


_LOOK_SECONDS = 2.0
"""Between two looks at which model is active."""


async def run(services: ProfilerServices) -> bool:
    """Until its `working.stop` is set, or SIGTERM or SIGINT comes: users under way are given back. True if it stopped
    because another model has become active, whose memory is read from then on."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, services.working.stop.set)
    watch = asyncio.create_task(_another_is_active(services))
    try:
        await services.working.run()
        return watch.done()
    finally:
        watch.cancel()
        await asyncio.wait({watch})
        await services.close()


async def _another_is_active(services: ProfilerServices) -> None:
    """Stops the work, and ends, once it is so."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            serving = (await asyncio.to_thread(services.models.live)).serving
        except StoreUnavailable as exc:
            log.warning("live_models_not_read", reason=str(exc))
            continue
        if serving is not None and serving.bundle != services.working.refreshing.bundle:
            log.info("another_model_is_active", version=serving.version)
            services.working.stop.set()
            return


def main(settings: Settings) -> None:
    """Raises ConfigurationError for what can be known before the first user."""

    async def start() -> None:
        again = True
        while again:
            services = build_profiler(settings)
            refreshing = services.working.refreshing
            maker, trained_with = refreshing.standing.maker, refreshing.spec.profiles
            log.info("profiler_starts", source=maker.source, model=maker.model, embedder=maker.embedder)
            if trained_with is None:
                log.info("profiles_change_no_list", reason="the bundle was trained without them")
            gc.freeze()  # what is there by now stays: the collector need not look at it
            again = await run(services)

    with scraped(settings, PROFILER, Meter()):
        uvloop.run(start())
    log.info("profiler_stopped")
