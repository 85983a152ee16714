"""The worker: the one writer of the state. Reads the log, applies, commits, for as long as it holds the lease.

While another one leads it stands by, its weights loaded and the catalogue followed; one that is fenced stands by again.
It writes the generation that the record of live models names for its bundle, and fills it first if it is new. Without
such a record, started with another bundle than the state was made by, it makes the state again beside the served one.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from threading import Event as Flag

import structlog

from service.core.live_models import LiveModel
from service.core.types import Position
from service.errors import Fenced, LeaseHeld, NoRoom, StoreUnavailable
from service.event_path import (
    Catalogue,
    Filling,
    Lease,
    Patience,
    Rebuild,
    Reporter,
    Rollout,
    Writer,
    apply_records,
    check_log,
    check_state,
)
from service.meter import Meter
from service.ports import StateStore
from service.processes.crew import Crew
from service.processes.scrape import WORKER, scraped
from service.settings import Settings
from service.wiring import WorkerServices, build_worker
from service.wiring_models import read_bundle

log = structlog.get_logger("peregrine.worker")

_LOOK_SECONDS = 0.2
"""Between two attempts of a standby to take the lease."""
_ROOM_SECONDS = 30.0
"""Between two attempts to make a state for which there is no room."""
_TELL_SECONDS = 10.0
"""Between two lines on how far a rebuild is."""


@dataclass
class Worker:
    """Runs until `stop` is set. owner: names this process in the lease."""

    services: WorkerServices
    settings: Settings
    stop: Flag = field(default_factory=Flag)
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{random.getrandbits(32):08x}")
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        self._items = Catalogue()
        self._items_of = 0  # generation
        self._agreed = False  # the state was once found to be made by this worker's bundle
        self._waits_for = ""
        self._told = 0.0

    def run(self) -> None:
        """Raises StateMismatch when the state does not belong to the log."""
        patience = Patience(self.stop)
        while not self.stop.is_set():
            try:
                self._lead()
                patience.reset()
            except LeaseHeld as exc:
                self._stand_by(str(exc))
            except NoRoom as exc:
                self._stand_by(str(exc), _ROOM_SECONDS)
            except Fenced as exc:
                log.warning("fenced", reason=str(exc))
            except StoreUnavailable as exc:
                patience.wait(exc)

    def _lead(self) -> None:
        """Takes the lease and works under it. Raises LeaseHeld while another worker has it, Fenced when it is lost."""
        live = self.services.models.live()
        if (mine := live.of(self.services.bundle.hash)) is not None:
            self._lead_live(mine)
            return
        if live.serving is not None and self.services.registry_holds(live.serving):
            self._stand_by("no memory made by this bundle is live", 5 * _LOOK_SECONDS)
            return
        store = self.services.generations.current()
        position = store.position()
        if position.offset == 0 or position.bundle in {"", self.services.bundle.hash}:
            self._agreed = True
            self._catalogue_of(store).follow(store, position.item_count)
            with self._lease(store) as lease:
                self._drain(lease)
        elif self._agreed:
            self._stand_by(f"the state is made by bundle {position.bundle:.12} now: start the worker with that one")
        else:
            check_log(position, self.services.source)
            with self._lease(self.services.generations.next()) as lease:
                if self._make_again(lease, position):
                    self._drain(lease)

    def _lead_live(self, mine: LiveModel) -> None:
        bundle = self.services.bundle
        store = self.services.generations.of(bundle.hash)
        items = self._catalogue_of(store)
        if mine.stage != "filling":
            items.follow(store, store.position().item_count)
        with self._lease(store) as lease:
            if mine.stage == "filling":
                filling = Filling(lease, self.services.source, self.services.models, bundle, mine, items)
                filling.run(self.settings.batch_size, self.stop)
            else:
                self._drain(lease)

    def _lease(self, store: StateStore) -> Lease:
        return Lease(store, self.owner, self.settings.lease_seconds)

    def _catalogue_of(self, store: StateStore) -> Catalogue:
        """What is known of the items of the store's generation, so that taking over needs not read them all."""
        if self._items_of != store.generation:
            self._items, self._items_of = Catalogue(), store.generation
        return self._items

    def _stand_by(self, reason: str, seconds: float = _LOOK_SECONDS) -> None:
        """Says so once, and waits a little."""
        if self._waits_for != reason:
            log.info("standby", reason=reason, lease_seconds=self.settings.lease_seconds)
            self._waits_for = reason
        self.stop.wait(seconds)

    def _make_again(self, lease: Lease, before: Position) -> bool:
        """Another bundle: the state is made again, and takes the served one's place. False if told to stop."""
        bundle = self.services.bundle
        log.info("state_is_made_again", bundle=bundle.version, before=before.bundle[:12], before_offset=before.offset)
        items = self._catalogue_of(lease.store)
        rebuild = Rebuild(lease, self.services.source, bundle.model, bundle.hash, items, bundle.texts)
        self._agreed = rebuild.run(self.settings.batch_size, self.stop, self._tell, self.settings.clock == "wall")
        return self._agreed

    def _tell(self, offset: int, end: int) -> None:
        if time.monotonic() - self._told > _TELL_SECONDS:
            log.info("rebuilding", offset=offset, log_end=end)
            self._told = time.monotonic()

    def _drain(self, lease: Lease) -> None:
        """Turn after turn until told to stop, or fenced. Sits out stores that are away for a while."""
        bundle = self.services.bundle
        store, items = lease.store, self._items
        writer = Writer(
            store,
            bundle.model,
            lease.epoch,
            True,
            items,
            bundle.texts,
            self.meter,
            self.services.tracer,
        )
        reporter = Reporter(self.services.source, store, self.settings.max_lag)
        rollout = Rollout(self.services.models, bundle.hash, self.services.check)
        patience, resumed = Patience(self.stop), False
        with closing(writer), closing(rollout), self._leading():
            while not self.stop.is_set():
                lease.check()
                try:
                    if not resumed:  # at first, and when the outcome of a commit may be unknown
                        check_state(store, self.services.source, bundle.hash, lease.epoch)
                        writer.resume()
                        self._say_resumed(writer.position, store.generation)
                        resumed = True
                    self._turn(writer)
                    if rollout.turn():
                        reporter.report(writer.position.offset)
                    patience.reset()
                except StoreUnavailable as exc:
                    resumed = False
                    patience.wait(exc)

    @contextmanager
    def _leading(self) -> Iterator[None]:
        self.meter.levels["worker_leads"] = 1
        try:
            yield
        finally:
            self.meter.levels["worker_leads"] = 0

    def _say_resumed(self, position: Position, generation: int) -> None:
        self._waits_for = ""
        self.meter.levels["worker_offset"] = position.offset
        log.info("resumed", offset=position.offset, items=position.item_count, generation=generation)

    def _turn(self, writer: Writer) -> None:
        began = time.perf_counter()
        records = self.services.source.read(writer.position.offset, self.settings.batch_size, block_ms=200)
        if len(records) == self.settings.batch_size:  # else it waited for records, and the time says nothing
            self.meter.stages["read"].observe(time.perf_counter() - began)
        if len(records):
            apply_records(writer, records)
        else:
            writer.check()
        if self.settings.clock == "wall":
            writer.close_ticks(int(time.time()))


def main(settings: Settings) -> None:
    """Runs a worker until SIGTERM or SIGINT: finishes the step at hand, commits, gives the lease back.

    Each of the other live models gets a process of its own.
    """
    services = build_worker(settings)
    with Crew(services, settings):
        _work(services, settings)


def member(settings: Settings) -> None:
    """One of those processes: a worker for the bundle of the settings, whichever is active."""
    _work(build_worker(settings, read_bundle(settings)), settings)


def _work(services: WorkerServices, settings: Settings) -> None:
    worker = Worker(services, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop.set())
    log.info("worker_starts", owner=worker.owner, bundle=services.bundle.version)
    try:
        with scraped(settings, WORKER, worker.meter):
            worker.run()
    finally:
        services.close()
    log.info("worker_stopped")
