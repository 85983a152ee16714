"""`peregrine erase` and `peregrine export-user`: what a person may ask for, in the terminal."""

from __future__ import annotations

import time

from service.client import Json
from service.commands import terminal
from service.commands.connection import connect

_POLL_SECONDS = 0.5


def erase(user_id: str, wait: bool, url: str | None, as_json: bool) -> None:
    """Erases a user, and with `wait` stays until neither stores nor files hold anything of them."""
    with connect(url) as client:
        answer = client.erase_user(user_id)
        while wait and answer["status"] == "pending":
            time.sleep(_POLL_SECONDS)
            answer = client.get_erasure(answer["erasure_id"])
    if as_json:
        terminal.print_json(answer)
    else:
        _print(answer)


def _print(answer: Json) -> None:
    terminal.print_text(f"erasure {answer['erasure_id']}: {answer['status']}")
    terminal.say(answer["note"])


def export(user_id: str, url: str | None) -> None:
    """Everything that is stored about a user, on stdout as NDJSON."""
    with connect(url) as client:
        for line in client.export_user(user_id):
            terminal.print_text(line)
