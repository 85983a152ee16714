"""A rebuild for `peregrine bench ingest`: from an archive that holds the first half, and a log that holds the rest."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event as Flag
from typing import Any

from model.spec import ModelSpec
from service.adapters.archive_folder import open_folder
from service.adapters.bundle import Bundle
from service.adapters.parquet_archive import ParquetArchive
from service.adapters.redis_clients import Server
from service.adapters.redis_generations import RedisGenerations
from service.adapters.redis_keeper import RedisLogKeeper
from service.adapters.redis_log import RedisEventSource
from service.commands import terminal
from service.commands.clean_replay import furthest
from service.core.log_records import Columns
from service.event_path import ArchivedSource, Lease, Rebuild
from service.ports import EventSource, StateStore

_STEP = 20_000
_COMPARED = 2_000
"""Users, and items, whose records are compared."""
_BATCH_SIZE = 4_000


def measure(bundle: Bundle, archive_folder: Path, log_server: Server, state_server: Server) -> dict[str, Any]:
    """Records a second into a second generation, and how far its floats are from the first one's; inf where integers
    differ."""
    source, generations = RedisEventSource(log_server), RedisGenerations(state_server)
    keeper, archive = RedisLogKeeper(log_server), ParquetArchive(open_folder(str(archive_folder)))
    users = _archive_half(source, archive, keeper)
    before = generations.current()
    with terminal.progress("") as bar, Lease(generations.next(), "bench rebuild", 600.0) as lease:
        task = bar.add_task("rebuilding it", total=source.end())
        rebuild = Rebuild(lease, ArchivedSource(archive, source), bundle.model, bundle.hash)
        begun = time.perf_counter()
        rebuild.run(_BATCH_SIZE, Flag(), lambda offset, _: bar.update(task, completed=offset))
        seconds = time.perf_counter() - begun
        difference = _difference(before, lease.store, users, bundle.model.spec)
    source.close()
    return {
        "rebuild_events_per_second": round(rebuild.offset / seconds),
        "rebuild_records": rebuild.offset,
        "rebuild_max_difference": difference,
    }


def _archive_half(source: EventSource, archive: ParquetArchive, keeper: RedisLogKeeper) -> list[bytes]:
    """Copies the first half of the log and trims it; the ids of some users."""
    archive.claim(source.log_id())
    half, users = source.end() // 2, dict[bytes, None]()
    while archive.end() < half:
        records = source.read(archive.end(), min(_STEP, half - archive.end()), 0)
        users |= dict.fromkeys(Columns(records).user)
        archive.append(records)
    keeper.trim(keeper.acquire("bench", 600_000), half)
    return list(users)[:_COMPARED]


def _difference(left: StateStore, right: StateStore, users: list[bytes], spec: ModelSpec) -> float:
    return furthest(left, right, users, range(min(_COMPARED, left.position().item_count)), spec)
