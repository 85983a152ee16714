"""One page a file; `PAGES` says what is where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from service.ui.pages import health, items, live, models, privacy, users
from service.ui.visit import Visit

PAGES: dict[str, Callable[[Visit, Mapping[str, str]], Awaitable[None]]] = {
    "/": live.build,
    "/users": users.build,
    "/items": items.build,
    "/models": models.build,
    "/health": health.build,
    "/privacy": privacy.build,
}
