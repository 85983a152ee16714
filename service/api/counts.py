"""What this process has answered, counted for /metrics. Every replica counts its own; who collects them sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from service.core.types import Append, Appended
from service.errors import BackPressure, StoreUnavailable
from service.ports import EventLog

Kind = Literal["event", "item"]
Reason = Literal["invalid", "future", "unknown_item"]


@dataclass
class Counts:
    """accepted, duplicates: entries by kind; rejected: entries by kind and reason; refused: whole requests, by what
    the log refused them for."""

    accepted: Counter[Kind] = field(default_factory=Counter)
    duplicates: Counter[Kind] = field(default_factory=Counter)
    rejected: Counter[tuple[Kind, Reason]] = field(default_factory=Counter)
    refused: Counter[Literal["lag", "memory", "store"]] = field(default_factory=Counter)

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Counts what the block is refused for."""
        try:
            yield
        except BackPressure as exc:
            self.refused["memory" if exc.pressure else "lag"] += 1
            raise
        except StoreUnavailable:
            self.refused["store"] += 1
            raise

    async def append(self, log: EventLog, kind: Kind, records: Sequence[Append]) -> list[Appended]:
        """Appends to the log, and counts what became of it."""
        with self.refusals():
            appended = await log.append(records)
        duplicates = sum(one.duplicate for one in appended)
        self.duplicates[kind] += duplicates
        self.accepted[kind] += len(appended) - duplicates
        return appended
