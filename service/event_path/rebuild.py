"""The state made again: the next generation filled from the archive and the log while the active one serves and learns.

Once it has caught up it becomes the active one, at once. A rebuild that was broken off is begun again: what it left may
hold what was erased since.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from threading import Event as Flag

from model.process.temporal_model import TemporalModel
from service.core.item_texts import ItemTexts
from service.core.types import Position
from service.errors import NoRoom, StoreFull, StoreUnavailable
from service.event_path.catalogue import Catalogue
from service.event_path.lease import Lease
from service.event_path.patience import Patience
from service.event_path.poison import apply_records
from service.event_path.pressure import NEARLY_FULL
from service.event_path.writer import Writer
from service.ports import EventSource

Progress = Callable[[int, int], None]
"""Takes the offset that is reached and the log's end."""


class Rebuild:
    """One attempt. lease: on the next generation; bundle: the hash of the weights; items: filled with what it holds."""

    def __init__(
        self,
        lease: Lease,
        source: EventSource,
        model: TemporalModel,
        bundle: str,
        items: Catalogue | None = None,
        texts: ItemTexts | None = None,
    ) -> None:
        self._lease = lease
        self._source = source
        self._bundle = bundle
        self._erased = 0
        self._writer = Writer(lease.store, model, lease.epoch, overlap=True, items=items, texts=texts)

    @property
    def offset(self) -> int:
        """What is reached."""
        return self._writer.position.offset

    def run(self, batch_size: int, stop: Flag, tell: Progress, close_ticks: bool = False) -> bool:
        """True once the generation is active; False if told to `stop`. Sits out stores that are away for a while.

        close_ticks: by the wall clock, too. Raises Fenced if somebody else takes over, NoRoom if there is less memory
        than the active state takes, or it runs out.
        """
        patience, begun = Patience(stop), False
        with closing(self._writer):
            while not stop.is_set():
                self._lease.check()
                try:
                    begun = begun or self._begin()
                    if patience.tried:
                        self._writer.resume()  # a commit's outcome may be unknown
                    if self._turn(batch_size):
                        begun = self._source.erased() == self._erased  # else it may hold who was erased since
                        if begun and self._switch(close_ticks):
                            return True
                    tell(self.offset, self._source.end())
                    patience.reset()
                except StoreFull as exc:
                    self._empty()  # rather than that the active state has no room, either
                    raise NoRoom(f"there is no room for a second state: {exc}") from exc
                except StoreUnavailable as exc:
                    patience.wait(exc)
        return False

    def _empty(self) -> None:
        self._lease.store.reset(self._lease.epoch, Position(log_id=self._source.log_id(), bundle=self._bundle))

    def _begin(self) -> bool:
        self._empty()
        if (taken := self._lease.store.fullness()) > NEARLY_FULL / 2:
            raise NoRoom(f"a second state needs about as much memory again, and {taken:.0%} is taken: raise maxmemory")
        self._erased = self._source.erased()
        self._writer.resume()
        return True

    def _turn(self, batch_size: int) -> bool:
        """Applies what comes next; True if that was all there is."""
        records = self._source.read(self._writer.position.offset, batch_size, block_ms=0)
        if len(records):
            apply_records(self._writer, records)
        return len(records) < batch_size

    def _switch(self, close_ticks: bool) -> bool:
        """True if this generation is the active one now; False if it has fallen behind again."""
        if close_ticks:
            self._writer.close_ticks(int(time.time()))
        self._writer.settle()
        return self._lease.store.activate(self._lease.epoch)
