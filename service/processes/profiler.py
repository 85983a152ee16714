"""The profiler: finds users whose profile is due, and has them described. Any number may run; nobody waits for them."""

from __future__ import annotations

import asyncio
import signal

import structlog
import uvloop

from service.settings import Settings
from service.wiring_profiles import ProfilerServices, build_profiler

log = structlog.get_logger("peregrine.profiler")


async def run(services: ProfilerServices) -> None:
    """Until its `working.stop` is set, or SIGTERM or SIGINT comes: users under way are given back."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, services.working.stop.set)
    try:
        await services.working.run()
    finally:
        await services.close()


def main(settings: Settings) -> None:
    """Raises ConfigurationError for what can be known before the first user."""

    async def start() -> None:
        services = build_profiler(settings)
        refreshing = services.working.refreshing
        maker, trained_with = refreshing.standing.maker, refreshing.spec.profiles
        log.info("profiler_starts", source=maker.source, model=maker.model, embedder=maker.embedder)
        if trained_with is None:
            log.info("profiles_change_no_list", reason="the bundle was trained without them")
        await run(services)

    uvloop.run(start())
    log.info("profiler_stopped")
