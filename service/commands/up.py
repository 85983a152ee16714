"""`peregrine up`: everything on one machine until Ctrl-C, with its own Valkey when no URLs are set."""

from __future__ import annotations

import logging
from threading import Event as Flag
from typing import Any

from service.commands import terminal
from service.logs import configure
from service.processes.all_in_one import Stack
from service.processes.surroundings import tell_unknown_variables
from service.processes.ui import wants_ui
from service.settings import load_settings


def run(given: dict[str, Any], ui: bool | None) -> None:
    """given: settings from the command line, by name; they win over the environment. ui: with the pages; None: if the
    extra is there."""
    settings = load_settings(**given)
    configure(settings.log_level, settings.log_format)
    tell_unknown_variables()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request
    try:
        with terminal.interrupted_by_sigterm(), Stack(settings, ui=wants_ui(ui)) as stack:
            terminal.print_text(hello(stack))
            Flag().wait()
    except KeyboardInterrupt:
        terminal.say("stopped")


def hello(stack: Stack) -> str:
    """Where it is, and how to try it."""
    key = ' -H "Authorization: Bearer $PEREGRINE_API_KEY"' if stack.settings.api_key else ""
    event = '{"user_id": "u1", "item_id": "shoe", "type": "purchase"}'
    return "\n".join(
        (
            f"Peregrine is ready at {stack.url} (API reference: {stack.url}/docs). Try:",
            f"  curl{key} -H 'Content-Type: application/json' '{stack.url}/v1/events?wait=applied' -d '{event}'",
            f"  curl{key} {stack.url}/v1/users/u1/recommendations",
            *((f"The pages are at {stack.ui_url}",) if stack.ui_url else ()),
            "Ctrl-C stops it.",
        )
    )
