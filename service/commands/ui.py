"""`peregrine ui`: the pages alone, for a service that runs somewhere."""

from __future__ import annotations

from service.logs import configure
from service.processes.surroundings import tell_unknown_variables
from service.processes.ui import main
from service.settings import load_settings


def run(url: str | None) -> None:
    """url: of the service; default: the one these settings describe."""
    settings = load_settings()
    configure(settings.log_level, settings.log_format)
    tell_unknown_variables()
    main(settings, url)
