"""`peregrine bench profiles`: how many users are described, against what the language model lets through.

The language model is made up: each call takes as long as it is told to. Everything else is what is deployed.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from service.client import Client
from service.commands import bundles, datasets, terminal
from service.commands.posting import Account
from service.commands.slow_endpoint import SlowEndpoint
from service.errors import ConfigurationError, PeregrineError
from service.processes.all_in_one import Stack
from service.processes.supervised import Child, environment
from service.settings import Settings, load_settings

ITEMS, EVENTS = 2_000, 3
"""Of the catalogue; of each user."""
_START = 1_700_000_000
_PATIENCE = 60.0
"""Seconds without a call after which it is given up."""
_KINDS = ("tea", "shoe", "lamp", "book", "chair", "jacket", "camera", "bottle", "puzzle", "knife")
_QUALITIES = ("red", "small", "wooden", "vintage", "steel", "soft", "folding", "bright", "heavy", "travel")


class Stalled(PeregrineError):
    """Nobody was described for a while."""


def run(users: int, seconds: float, concurrency: int, profilers: int, as_json: bool) -> None:
    """seconds: of a call; concurrency: calls at once, shared by `profilers` processes. On a stack of its own.

    Raises ConfigurationError where some process would have none.
    """
    if profilers > concurrency:
        raise ConfigurationError(
            f"--profilers {profilers} share --concurrency {concurrency}: allow each a call at once"
        )
    with TemporaryDirectory(prefix="peregrine-bench-") as folder:
        settings = load_settings(
            data_dir=Path(folder), state_url=None, log_url=None, bundle=bundles.shipped(), port=0, clock="event",
            profiles="off", log_level="warning", chat_concurrency=concurrency // profilers, chat_daily_tokens=10**12,
        )  # fmt: skip
        terminal.say("starting Valkey, worker and API")
        with Stack(settings) as stack, stack.client() as client:
            _fill(client, users)
            report = uvloop.run(_measure(stack.settings, profilers, users, seconds))
    terminal.print_json(report, indent=None if as_json else 2)


def _fill(client: Client, users: int) -> None:
    """A few events of each user, on items that others have, too."""
    chance = random.Random(0)  # noqa: S311 - made-up traffic, the same each time
    account = Account(client)
    for items in datasets.batches([_item(n) for n in range(ITEMS)]):
        account.put_items(items)
    events = [
        {"user_id": f"u{user}", "item_id": f"i{chance.randrange(ITEMS)}", "timestamp": _START + k}
        for user in range(users)
        for k in range(EVENTS)
    ]
    for batch in datasets.batches(events):
        account.post(batch)
    account.wait_until_applied()


def _item(n: int) -> dict[str, Any]:
    kind, quality = _KINDS[n % 10], _QUALITIES[n // 10 % 10]
    title = f"{quality} {kind} {n // 100}"
    return {"item_id": f"i{n}", "title": title, "category": kind, "brand": f"{quality} works"}


async def _measure(settings: Settings, profilers: int, users: int, seconds: float) -> dict[str, Any]:
    async with SlowEndpoint(seconds) as endpoint:
        asks = settings.model_copy(update={"chat_url": endpoint.url, "chat_model": "slow", "profiles": "auto"})
        with ExitStack() as running:
            started = [running.enter_context(_profiler(asks)) for _ in range(profilers)]
            await _described(endpoint, users)
            cpu = [_cpu_seconds(profiler.pid) for profiler in started]
    took, limit = endpoint.last - endpoint.first, profilers * settings.chat_concurrency / seconds
    rate = (users - 1) / took
    return {
        "users": users,
        "profilers": profilers,
        "asked": endpoint.asked,
        "most_at_once": endpoint.most,
        "users_per_second": rate,
        "endpoint_limit": limit,
        "share_of_limit": rate / limit,
        "profiler_cpu_ms_per_user": None if None in cpu else 1_000 * sum(filter(None, cpu)) / users,
    }


@contextmanager
def _profiler(settings: Settings) -> Iterator[Child]:
    profiler = Child("profiler", environment(settings), lambda _, line: terminal.say(line))
    try:
        yield profiler
    finally:
        profiler.stop()


async def _described(endpoint: SlowEndpoint, users: int) -> None:
    with terminal.progress("") as bar:
        task = bar.add_task(f"{users:,} users", total=users)
        moved = time.perf_counter()
        while endpoint.asked < users:
            before = endpoint.asked
            await asyncio.sleep(0.2)
            bar.update(task, completed=endpoint.asked)
            now = time.perf_counter()
            moved = now if endpoint.asked > before else moved
            if now - moved > _PATIENCE:
                raise Stalled(f"{endpoint.asked} of {users} users were described, then nobody for {_PATIENCE:g} s")


def _cpu_seconds(pid: int) -> float | None:
    """Of the process so far, its start included; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
