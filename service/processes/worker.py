"""The worker: the one writer of the state. Reads the log, applies, commits; leads by a lease and stops when fenced."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from dataclasses import dataclass, field
from threading import Event as Flag

import structlog

from service.errors import LeaseHeld, StoreUnavailable
from service.event_path import Reporter, Writer, apply_records, check_state
from service.settings import Settings
from service.wiring import WorkerServices, build_worker

log = structlog.get_logger("peregrine.worker")


@dataclass
class Worker:
    """Runs until `stop` is set. owner: names this process in the lease."""

    services: WorkerServices
    settings: Settings
    stop: Flag = field(default_factory=Flag)
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{random.getrandbits(32):08x}")

    def run(self) -> None:
        """Raises LeaseHeld, Fenced or StateMismatch when this worker must not write."""
        epoch = self._lead()
        if epoch is None:
            return
        try:
            self._drain(epoch)
        finally:
            self._release()

    def _lead(self) -> int | None:
        """Takes the lease; waits for that of a dead predecessor to run out, but no longer. None if told to stop."""
        deadline = time.monotonic() + 1.5 * self.settings.lease_seconds
        while not self.stop.is_set():
            try:
                return self.services.store.acquire(self.owner, self._lease_ms)
            except LeaseHeld:
                if time.monotonic() > deadline:
                    raise
                self.stop.wait(0.1)
            except StoreUnavailable as exc:
                log.warning("store_unavailable", error=str(exc))
                deadline = time.monotonic() + 1.5 * self.settings.lease_seconds
                self.stop.wait(0.5)
        return None

    def _drain(self, epoch: int) -> None:
        bundle = self.services.bundle
        writer = Writer(self.services.store, bundle.model, bundle.learned, epoch, overlap=True)
        try:
            self._keep_up(writer, epoch)
        finally:
            writer.close()

    def _keep_up(self, writer: Writer, epoch: int) -> None:
        bundle = self.services.bundle
        reporter = Reporter(self.services.source, self.services.store, self.settings.max_lag)
        again = 0.0
        resumed = False
        renewed = time.monotonic()
        while not self.stop.is_set():
            try:
                if not resumed:
                    if check_state(self.services.store, self.services.source, bundle.hash, epoch):
                        log.info("state_is_made_again", bundle=bundle.version, log_end=self.services.source.end())
                    writer.resume()
                    log.info("resumed", offset=writer.position.offset, items=writer.position.item_count)
                    resumed = True
                self._turn(writer)
                reporter.report(writer.position.offset)
                if time.monotonic() - renewed > self.settings.lease_seconds / 3:
                    self.services.store.renew(self.owner, self._lease_ms)
                    renewed = time.monotonic()
                again = 0.0
            except StoreUnavailable as exc:
                resumed = False  # a commit's outcome may be unknown: read back where the state stands
                again = min(2.0, 0.1 + 2 * again)
                log.warning("store_unavailable", error=str(exc), retry_seconds=round(again, 2))
                self.stop.wait(again * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    def _turn(self, writer: Writer) -> None:
        records = self.services.source.read(writer.position.offset, self.settings.batch_size, block_ms=200)
        if len(records):
            apply_records(writer, records)
        else:
            writer.settle()
        if self.settings.clock == "wall":
            writer.close_ticks(int(time.time()))

    @property
    def _lease_ms(self) -> int:
        return int(self.settings.lease_seconds * 1000)

    def _release(self) -> None:
        try:
            self.services.store.release(self.owner)
        except StoreUnavailable as exc:
            log.warning("lease_not_released", error=str(exc), expires_in_seconds=self.settings.lease_seconds)


def main(settings: Settings) -> None:
    """Runs a worker until SIGTERM or SIGINT: finishes the step at hand, commits, gives the lease back."""
    worker = Worker(build_worker(settings), settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop.set())
    log.info("worker_starts", owner=worker.owner, bundle=worker.services.bundle.version)
    worker.run()
    log.info("worker_stopped")
