"""A service with a shop in it, and its pages: all processes, as `peregrine up` runs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.client import Client
from service.commands import bundles
from service.processes.all_in_one import Stack
from service.settings import load_settings
from service.ui.samples import samples

USERS = ("ada", "bob", "eve")


@contextmanager
def shop(folder: Path, **settings: object) -> Iterator[Stack]:
    """With the bundle that is shipped, the sample catalogue and some purchases of USERS."""
    ports = {"port": 0, "ui_port": 0}
    values = {"data_dir": folder, "ui_users": "ada,bob", "bundle": bundles.shipped(), **ports} | settings
    lines: list[str] = []
    with Stack(load_settings(**values), lambda name, line: lines.append(f"{name}: {line}"), 120.0, ui=True) as stack:
        with stack.client() as client:
            fill(client)
        yield stack


def fill(client: Client) -> None:
    """40 purchases."""
    client.put_items(samples(), wait=True)
    ids = [item["item_id"] for item in samples()]
    picked = [(USERS[place % 3], ids[place * place % len(ids)]) for place in range(40)]
    bought = [{"user_id": user, "item_id": item, "type": "purchase"} for user, item in picked]
    client.post_events(bought, wait=True)
