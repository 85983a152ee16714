"""The memory of a model that is to go live: archive and log replayed into its own generation, while another one serves.

It goes on where it was broken off, and begins again if an erasure took records away that it has read. When it has
caught up, the worker goes on as with any other generation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from threading import Event as Flag

import structlog

from service.core.bundles import Bundle
from service.core.live_models import LiveModel
from service.core.types import Position
from service.errors import StoreFull, StoreUnavailable
from service.event_path.canary import RECORDS, Canary
from service.event_path.catalogue import Catalogue
from service.event_path.leading import check_log
from service.event_path.lease import Lease
from service.event_path.patience import Patience
from service.event_path.poison import apply_records
from service.event_path.writer import Writer
from service.ports import EventSource, LiveModels

log = structlog.get_logger("peregrine.filling")

_TELL_SECONDS = 0.5


@dataclass
class Filling:
    """One attempt. lease: on the model's generation; items: filled with what it holds."""

    lease: Lease
    source: EventSource
    models: LiveModels
    bundle: Bundle
    model: LiveModel
    items: Catalogue
    clock: Callable[[], float] = time.monotonic
    _canary: Canary | None = None
    _cosine: float | None = None
    _told: tuple[float, int] = field(default=(0.0, 0))

    def __post_init__(self) -> None:
        bundle, lease = self.bundle, self.lease
        self._writer = Writer(
            lease.store, bundle.model, lease.epoch, overlap=True, items=self.items, texts=bundle.texts
        )

    def run(self, batch_size: int, stop: Flag) -> bool:
        """True once it has caught up and the record says so; False if told to `stop`, or if there is no room for it and
        it was given up. Raises Fenced if the model is not live any more."""
        patience, resumed = Patience(stop), False
        with closing(self._writer):
            while not stop.is_set():
                self.lease.check()
                try:
                    if not resumed:
                        self._resume()
                        resumed = True
                    if self._turn(batch_size):
                        if self.source.erased() == self.model.erased:
                            self._caught_up()
                            return True
                        self._begin()
                    self._tell()
                    patience.reset()
                except StoreFull as exc:
                    self._give_up(exc)
                    return False
                except StoreUnavailable as exc:
                    resumed = False
                    patience.wait(exc)
        return False

    def _resume(self) -> None:
        """Goes on with what is there, if it is this attempt's and holds nobody who was erased since."""
        position = self.lease.store.position()
        check_log(position, self.source)
        known = self.model.erased is not None and position.bundle == self.bundle.hash
        if known and position.offset >= self.source.erased():
            self._writer.resume()
        else:
            self._begin()
        self._told = (self.clock(), self._writer.position.offset)

    def _begin(self) -> None:
        self._writer.settle()
        self.lease.store.reset(self.lease.epoch, Position(log_id=self.source.log_id(), bundle=self.bundle.hash))
        self.model = replace(self.model, erased=self.source.erased(), offset=0)
        self.models.note(self.model)
        self._canary = self._cosine = None
        self._writer.resume()

    def _turn(self, batch_size: int) -> bool:
        """Applies what comes next; True if that was all there is."""
        offset = self._writer.position.offset
        if self._canary is None and self._cosine is None and self.source.end() - offset <= RECORDS + batch_size:
            self._take_canary(offset)
        wanted = batch_size if self._canary is None else min(batch_size, self._canary.end - offset)
        records = self.source.read(offset, wanted, block_ms=0)
        if len(records):
            apply_records(self._writer, records)
        if self._canary is not None and self._writer.position.offset >= self._canary.end:
            self._writer.settle()
            self._cosine, self._canary = self._canary.cosine(), None
        return len(records) < wanted and self.source.end() - self._writer.position.offset < batch_size

    def _take_canary(self, offset: int) -> None:
        self._writer.settle()
        if len(records := self.source.read(offset, RECORDS, block_ms=0)):
            self._canary = Canary(self.lease.store, self._writer.position, records, self.items, self.bundle)

    def _tell(self) -> None:
        """How far it is, into the record."""
        (at, before), now, offset = self._told, self.clock(), self._writer.position.offset
        if now - at >= _TELL_SECONDS:
            self.model = replace(self.model, offset=offset, rate=(offset - before) / (now - at))
            self.models.note(self.model)
            self._told = (now, offset)

    def _caught_up(self) -> None:
        self._writer.settle()
        offset = self._writer.position.offset
        checks = {"canary": {"records": RECORDS, "least_cosine": self._cosine}}
        self.models.note(replace(self.model, stage="checking", offset=offset, checks=checks))
        log.info("caught_up", version=self.bundle.version, offset=offset, least_cosine=self._cosine)

    def _give_up(self, exc: StoreFull) -> None:
        """Rather than that the active model has no room, either."""
        log.error("rollout_given_up", version=self.bundle.version, reason=f"there is no room for its memory: {exc}")
        self.lease.store.reset(self.lease.epoch, Position())
        self.models.end(self.model.generation)
