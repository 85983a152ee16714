"""Where traces go, if they go anywhere."""

from __future__ import annotations

import os
import socket

from service.errors import ConfigurationError
from service.settings import Settings
from service.tracing import Tracer


def open_tracer(settings: Settings, process: str) -> Tracer | None:
    """process: its kind. Raises ConfigurationError if the extra is not there."""
    if settings.traces_url is None:
        return None
    try:
        from service.adapters.otel_tracer import exporting
    except ModuleNotFoundError as exc:
        raise ConfigurationError(f'traces need {exc.name}: pip install "peregrine-recsys[otel]"') from exc
    return exporting(settings.traces_url, settings.traces_share, f"{process}:{socket.gethostname()}:{os.getpid()}")
