"""What a worker or a keeper counts of itself, for whoever scrapes it. No format is known here."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from service.core.histogram import Histogram
from service.errors import Fenced, StoreFull, StoreUnavailable


class Meter:
    """stages: seconds by stage; commits: by outcome; levels: what stands somewhere now; sums: what only grows.

    A number is written by one thread, and may be read by any.
    """

    def __init__(self) -> None:
        self.stages: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.commits: Counter[str] = Counter()
        self.levels: dict[str, float] = {}
        self.sums: Counter[str] = Counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times the block, however it ends."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.stages[name].observe(time.perf_counter() - began)

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Times a commit, and counts what became of it."""
        outcome = "failed"
        try:
            with self.stage("commit"):
                yield
            outcome = "committed"
        except Fenced:
            outcome = "fenced"
            raise
        except StoreFull:
            outcome = "full"
            raise
        except StoreUnavailable:
            outcome = "unavailable"
            raise
        finally:
            self.commits[outcome] += 1


OUTCOMES = ("committed", "fenced", "full", "unavailable", "failed")
"""unavailable: whether it was written, only the store knows; the worker looks before it goes on."""
