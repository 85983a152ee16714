"""The pages: uvicorn over `service.ui`, a client of the API."""

from __future__ import annotations

import logging
import signal
from importlib.util import find_spec
from types import FrameType

import structlog
import uvicorn

from service.errors import ConfigurationError
from service.processes.all_in_one import local_url
from service.processes.listening import listen
from service.settings import Settings, is_loopback

log = structlog.get_logger("peregrine.ui")

MISSING = 'the pages need an extra: pip install "peregrine-recsys[ui]"'


def has_ui() -> bool:
    """Whether the extra `ui` is there."""
    return find_spec("nicegui") is not None


def wants_ui(asked: bool | None) -> bool:
    """What was asked for; by default, whatever is there. Raises ConfigurationError for pages that cannot be had."""
    if asked and not has_ui():
        raise ConfigurationError(MISSING)
    return has_ui() if asked is None else asked


def main(settings: Settings, url: str | None = None) -> None:
    """Serves until SIGTERM or SIGINT. url: of the service; default: the one these settings describe.

    Raises ConfigurationError for what can be known before the first request.
    """
    if not has_ui():
        raise ConfigurationError(MISSING)
    from service.ui.app import create_app

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request, with the ids in its path
    with listen(settings.ui_host, settings.ui_port, "UI_") as listener:
        host, port = listener.getsockname()[:2]
        service = url or local_url(settings)
        application = create_app(settings, service)
        signing_in = not is_loopback(settings.ui_host)
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        log.info("ui_listens", url=address, service=service, signing_in=signing_in)
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            server_header=False,
            ws_per_message_deflate=False,  # costs more time than the bytes it saves on one machine
            timeout_graceful_shutdown=2,
        )
        Server(config).run(sockets=[listener])
    log.info("ui_stopped")


class Server(uvicorn.Server):
    """Stops with exit code 0: uvicorn's own would die of the signal at the end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
