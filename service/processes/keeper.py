"""The keeper: copies the log to the archive, trims it, finishes erasures, deletes what was replaced. One at a time."""

from __future__ import annotations

import os
import random
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event as Flag
from threading import Thread

import structlog

from service.errors import Fenced, LeaseHeld, StoreUnavailable
from service.event_path import ArchivedSource, Erasing, Keeping, tidy
from service.meter import Meter
from service.processes.scrape import KEEPER, scraped
from service.settings import PREFIX, Settings
from service.wiring import KeeperServices, build_keeper

log = structlog.get_logger("peregrine.keeper")

_RETRY_SECONDS = 0.5


@dataclass
class Keeper:
    """Runs until `stop` is set. owner: names this process in the lease."""

    services: KeeperServices
    settings: Settings
    stop: Flag = field(default_factory=Flag)
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{random.getrandbits(32):08x}")
    meter: Meter = field(default_factory=Meter)

    def run(self) -> None:
        """Raises what cannot be mended by trying again: an archive of another log, a damaged one, a trimmed log."""
        while not self.stop.is_set():
            epoch = self._lead()
            if epoch is None:
                return
            try:
                with self._renewing():
                    self.meter.levels["keeper_leads"] = 1
                    self._keep(epoch)
            except Fenced as exc:
                self.meter.levels["keeper_leads"] = 0
                log.warning("keeper_fenced", reason=str(exc))
                self.stop.wait(_RETRY_SECONDS)

    def _lead(self) -> int | None:
        """Waits for the lease. None if told to stop."""
        said = ""
        while not self.stop.is_set():
            try:
                return self.services.log.acquire(self.owner, self._lease_ms)
            except (LeaseHeld, StoreUnavailable) as exc:
                if str(exc) != said:
                    said = str(exc)
                    log.warning("keeper_waits", reason=said)
                self.stop.wait(_RETRY_SECONDS)
        return None

    @contextmanager
    def _renewing(self) -> Iterator[None]:
        """Renews the lease for the time of the block, however long its steps take, and gives it back.

        Not to notice a lost lease is no harm: archive and log refuse whoever lost it.
        """
        done = Flag()
        thread = Thread(target=self._renew, args=(done,), daemon=True, name="lease")
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            try:
                self.services.log.release(self.owner)
            except StoreUnavailable as exc:
                log.warning("lease_not_released", error=str(exc), expires_in_seconds=self.settings.lease_seconds)

    def _renew(self, done: Flag) -> None:
        while not done.wait(self.settings.lease_seconds / 3):
            try:
                self.services.log.renew(self.owner, self._lease_ms)
            except Fenced:
                return
            except StoreUnavailable as exc:
                log.warning("lease_not_renewed", error=str(exc))

    def _keep(self, epoch: int) -> None:
        keeping, erasing = self._keeping(), self._erasing()
        resumed = False
        while not self.stop.is_set():
            try:
                if not resumed:
                    keeping.resume(epoch)
                    erasing.resume(epoch)
                    resumed = True
                more = self._turn(keeping, erasing)
                if not more:
                    self.stop.wait(self.settings.keeper_seconds)
            except StoreUnavailable as exc:
                resumed = False  # the outcome of a step may be unknown: see what is there
                self.meter.sums["keeper_failures"] += 1
                log.warning("store_unavailable", error=str(exc))
                self.stop.wait(self.settings.keeper_seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    def _turn(self, keeping: Keeping, erasing: Erasing) -> bool:
        """True if there may be more to copy at once."""
        meter = self.meter
        with meter.stage("archive"):
            more = keeping.turn()
        with meter.stage("tidy"):
            self._tidy()
        with meter.stage("erase"):
            erasing.turn()
        meter.levels["archive_offset"], meter.levels["log_begin_offset"] = keeping.archived, keeping.begin
        return more

    def _tidy(self) -> None:
        try:
            if count := tidy(self.services.generations, self.owner):
                log.info("generations_deleted", generations=count)
        except Fenced as exc:  # by a switch in between
            log.info("generations_not_deleted", reason=str(exc))

    def _keeping(self) -> Keeping:
        services = self.services
        return Keeping(
            services.source,
            services.log,
            services.generations,
            services.snapshots,
            services.archive,
            self.settings.log_length,
        )

    def _erasing(self) -> Erasing:
        services = self.services
        source = services.source
        if services.archive is not None:
            source = ArchivedSource(services.archive, source)
        files = (services.state_files, services.log_files)
        parts = (services.generations, services.erasures, services.archive, *files, services.profiles)
        return Erasing(source, *parts)

    @property
    def _lease_ms(self) -> int:
        return int(self.settings.lease_seconds * 1000)


def main(settings: Settings) -> None:
    """Runs a keeper until SIGTERM or SIGINT: finishes the step at hand and gives the lease back."""
    keeper = Keeper(build_keeper(settings), settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: keeper.stop.set())
    log.info("keeper_starts", owner=keeper.owner, archive=settings.archive_url)
    if settings.archive_url is None:
        log.warning("no_archive", effect="the log is never trimmed", set=f"{PREFIX}ARCHIVE_URL")
    with scraped(settings, KEEPER, keeper.meter):
        keeper.run()
    log.info("keeper_stopped")
