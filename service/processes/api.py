"""The API process: uvicorn with uvloop and httptools over the application."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import structlog
import uvicorn

from service.api.app import create_app
from service.api.services import ApiServices
from service.processes.listening import listen
from service.processes.surroundings import cores
from service.settings import PREFIX, Settings
from service.wiring import build_api

log = structlog.get_logger("peregrine.api")

GRACE_SECONDS = 10
"""How long requests under way may take when the process is told to stop."""
_SWITCH_SECONDS = 0.001
"""For which a chore's thread may keep the event loop waiting; Python's default is five times that."""
_YOUNG = 20_000
"""Objects made before the collector looks at them: some dozens of requests, and hardly any leaves a cycle."""


def main(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises ConfigurationError for what can be known before the first request."""
    settings.check_exposure()
    sys.setswitchinterval(_SWITCH_SECONDS)
    with listen(settings.host, settings.port) as listener:
        services = build_api(settings)
        host, port = listener.getsockname()[:2]
        log.info(
            "api_listens",
            url=f"http://{f'[{host}]' if ':' in host else host}:{port}",
            model=services.lines.default.bundle.version,
        )
        if not services.gate.guards:
            log.warning("callers_need_no_key", reachable_from="this machine only", to_change=f"set {PREFIX}KEYS_FILE")
        server = make_server(services)
        gc.freeze()  # what is there by now stays: the collector need not look at it
        gc.set_threshold(_YOUNG)
        server.run(sockets=[listener])
    log.info("api_stopped")


class Server(uvicorn.Server):
    """Tells /readyz before it stops, and stops with exit code 0: uvicorn's own would die of the signal at the end."""

    def __init__(self, config: uvicorn.Config, services: ApiServices) -> None:
        super().__init__(config)
        self._services = services

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """With helping threads for the cores that this process may use, not for those of the machine."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(min(32, cores() + 4), "helper"))
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._services.draining = True
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def make_server(services: ApiServices) -> Server:
    config = uvicorn.Config(
        create_app(services),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return Server(config, services)
