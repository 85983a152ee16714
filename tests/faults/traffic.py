"""Traffic over HTTP, and a ledger of what was acknowledged: each batch is posted again, as it was, until it is."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from service.client import Accepted, Client, ClientError, ProblemError

T = TypeVar("T")
Document = dict[str, Any]

PATIENCE = 120.0
"""Seconds after which a batch that nobody takes is stuck."""
USERS, ITEMS = 1_500, 300
TYPES = ("view", "click", "cart", "purchase", "like", "dislike", "gaze")
LATE_SECONDS = (60, 3_600, 40 * 86_400)
BEGIN = 1_700_000_000


class Stuck(AssertionError):
    """A batch was not taken for PATIENCE seconds."""


@dataclass
class Batch:
    """offset: of its newest entry, as it was answered; new: its entries that were not posted before, in order."""

    new: list[Document]
    offset: int


@dataclass
class Ledger:
    """What was acknowledged, and in how many attempts."""

    events: list[Batch] = field(default_factory=list)
    items: list[Batch] = field(default_factory=list)
    item_attempts: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def acked(self) -> int:
        return sum(len(batch.new) for batch in list(self.events))

    @property
    def offset(self) -> int:
        """Of the newest entry of all."""
        return max((batch.offset for batch in [*self.events, *self.items]), default=0)


class Traffic:
    """Posters that each write `events` events over about `seconds`, and go on slowly until they are told to stop.

    clock: `event`, timestamps march by some 5 seconds an event; `wall`, most events have none and the log gives it.
    """

    def __init__(
        self, client: Callable[[], Client], seed: str, clock: str, posters: int, events: int, seconds: float
    ) -> None:
        self.ledger = Ledger()
        self.failure: Exception | None = None
        self._client = client
        self._seed = seed
        self._clock = clock
        self._share = -(-events // posters)
        self._pace = seconds / self._share
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._guarded, args=(n,), name=f"poster-{n}") for n in range(posters)]
        self._threads.append(threading.Thread(target=self._guarded, args=(None,), name="cataloguer"))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> Ledger:
        """Lets every poster write its share and get its answers. Raises Stuck."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self.failure:
            raise self.failure
        return self.ledger

    def _guarded(self, poster: int | None) -> None:
        try:
            with self._client() as client:
                self._post_items(client) if poster is None else self._post_events(client, poster)
        except Exception as exc:
            self.failure = exc

    def _post_events(self, client: Client, poster: int) -> None:
        writer = Writer(seeded(f"{self._seed}:{poster}"), f"{self._seed}-{poster}", self._clock)
        while writer.written < self._share or not self._stop.is_set():
            done = writer.written >= self._share
            new, body = writer.batch(5 if done else 200)
            answer = self._patiently(lambda body=body: client.post_events(body))  # type: ignore[misc]
            if answer.rejected or answer.accepted + answer.duplicates != len(body):
                raise AssertionError(f"{len(body)} good events were answered with {answer}")
            self.ledger.events.append(Batch(new, answer.offset))
            writer.acked(new)
            if not self._stop.is_set():
                time.sleep(0.3 if done else writer.rng.uniform(0.0, 2.0) * self._pace * len(new))

    def _post_items(self, client: Client) -> None:
        rng = seeded(f"{self._seed}:items")
        for number in itertools.count():
            items = [_item(rng, number) for _ in range(rng.choice((1, 1, 20)))]
            answer = self._patiently(lambda items=items: client.put_items(items), items=True)  # type: ignore[misc]
            self.ledger.items.append(Batch(items, answer.offset))
            if self._stop.wait(rng.uniform(0.2, 1.5)):
                return

    def _patiently(self, ask: Callable[[], Accepted], items: bool = False) -> Accepted:
        deadline = time.monotonic() + PATIENCE
        while True:
            self.ledger.item_attempts += items
            try:
                return ask()
            except ClientError as exc:
                kind = str(exc.status) if isinstance(exc, ProblemError) else type(exc).__name__
                with self.ledger.lock:
                    self.ledger.answers[kind] += 1
                if time.monotonic() > deadline:
                    raise Stuck(f"not taken for {PATIENCE:.0f} s, at last: {exc}") from exc
                time.sleep(0.1)


class Writer:
    """Writes one poster's events: hot users and items, late ones, equal timestamps, events that were posted before."""

    def __init__(self, rng: Random, name: str, clock: str) -> None:
        self.rng = rng
        self.written = 0
        self._name = name
        self._clock = clock
        self._now = BEGIN
        self._acked: list[Document] = []

    def batch(self, most: int) -> tuple[list[Document], list[Document]]:
        """(new events, all events of the body): one in ten bodies repeats acknowledged events or its own."""
        rng = self.rng
        new = [self._event() for _ in range(rng.randint(1, most))]
        body = list(new)
        if rng.random() < 0.1:
            again = rng.choices(self._acked or new, k=rng.randint(1, 5))
            for event in [*again, rng.choice(new)]:
                body.insert(rng.randint(body.index(event) + 1 if event in body else 0, len(body)), event)
        return new, body

    def acked(self, events: list[Document]) -> None:
        self._acked = [*self._acked, *events][-2_000:]

    def _event(self) -> Document:
        rng = self.rng
        self.written += 1
        event = {
            "event_id": f"{self._name}-{self.written}",
            "user_id": f"user-{_skewed(rng, USERS)}",
            "item_id": f"item-{_skewed(rng, ITEMS)}",
            "type": rng.choice(TYPES),
            "value": rng.choice((0.0, 1.0, 2.5, -3.0)),
        }
        timestamp = self._timestamp()
        return event if timestamp is None else event | {"timestamp": timestamp}

    def _timestamp(self) -> int | None:
        rng = self.rng
        if self._clock == "wall" and rng.random() < 0.8:
            return None
        self._now += rng.choice((0, 0, 5, 10, 20))
        late = rng.choice(LATE_SECONDS) if rng.random() < 0.1 else 0
        return self._now - rng.randint(0, late)


def seeded(seed: str) -> Random:
    """Draws the same in every run."""
    return Random(seed)  # noqa: S311 - not for secrets


def _skewed(rng: Random, count: int) -> int:
    """0 is drawn most often, about as Zipf has it."""
    return min(count - 1, int(count ** rng.random()) - 1 + rng.randrange(2))


def _item(rng: Random, number: int) -> Document:
    item = {"item_id": f"item-{_skewed(rng, ITEMS)}", "title": f"title {number}", "category": rng.choice("abc")}
    return item | rng.choice(({"available_from": None}, {"available_from": BEGIN + rng.randint(0, 100_000)}))
