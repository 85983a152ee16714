"""`peregrine keys`: API keys in a file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from service.adapters.key_file import add_key, read_keys, revoke_key
from service.commands import terminal
from service.core.access import Scope

_DAY = 86_400


def add(path: Path, name: str, scopes: Sequence[str], per_second: float | None, days: int | None) -> None:
    """Prints the new key on stdout. Raises ConfigurationError."""
    expires = None if days is None else int(time.time()) + days * _DAY
    key = add_key(path, name, cast(Sequence[Scope], scopes), per_second, expires)
    terminal.print_text(key)
    terminal.say(f"{name} may {', '.join(scopes)}. Keep the key: {path} holds only its digest.")


def show(path: Path, as_json: bool) -> None:
    """Raises ConfigurationError if the file cannot be read."""
    keys = read_keys(path).keys
    if as_json:
        terminal.print_json([key.model_dump(exclude={"sha256"}) for key in keys])
        return
    from rich.table import Table

    table = Table("name", "may", "requests a second", "expires")
    for key in keys:
        rate = "any" if key.per_second is None else f"{key.per_second:g}"
        expires = "never" if key.expires is None else datetime.fromtimestamp(key.expires, UTC).isoformat(" ", "minutes")
        table.add_row(key.name, ", ".join(key.scopes), rate, expires)
    terminal.stdout().print(table)


def revoke(path: Path, name: str) -> None:
    """Raises ConfigurationError if there is none of that name."""
    revoke_key(path, name)
    terminal.say(f"{name} is refused from now on (running processes look once a second).")
