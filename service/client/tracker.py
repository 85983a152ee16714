"""Sends what was tracked, in a thread of its own or in a task."""

from __future__ import annotations

import asyncio
import atexit
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from threading import Condition, Thread
from typing import Any

from service.client.answers import Accepted
from service.client.buffer import Buffer, Tracked, Tracking, body_of
from service.client.errors import ClientError

log = logging.getLogger("peregrine.client")

_CLOSED = "the client is closed: nothing can be tracked any more"


class Tracker:
    """For threads: any number may track. post: sends a body once, and raises ClientError."""

    def __init__(self, post: Callable[[bytes], Accepted], tracking: Tracking) -> None:
        self._post = post
        self._buffer = Buffer(tracking)
        self._changed = Condition()
        self._hurry = 0  # callers that wait for what is there to be sent
        self._until: float | None = None  # when closing: the moment to give up
        self._thread: Thread | None = None

    @property
    def tally(self) -> Tracked:
        with self._changed:
            return self._buffer.tally

    def track(self, event: Mapping[str, Any]) -> bool:
        with self._changed:
            if self._until is not None:
                raise ValueError(_CLOSED)
            kept = _put(self._buffer, event)
            if kept and (self._buffer.full or len(self._buffer) == 1):
                self._changed.notify_all()
            if self._thread is None or not self._thread.is_alive():  # a process that was forked has none
                self._start()
        return kept

    def flush(self, seconds: float) -> bool:
        with self._changed:
            self._hurry += 1
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not len(self._buffer), seconds)
            self._hurry -= 1
        return done

    def close(self) -> None:
        """Sends what waits, for as long as may be, and says what was dropped."""
        atexit.unregister(self.close)
        seconds = self._buffer.tracking.closing
        with self._changed:
            if self._until is not None:
                return
            self._until = time.monotonic() + seconds
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(seconds)
        with self._changed:
            _give_up(self._buffer)

    def _start(self) -> None:
        if self._thread is None:
            atexit.register(self.close)
        self._thread = Thread(target=self._run, daemon=True, name="peregrine-track")
        self._thread.start()

    def _run(self) -> None:
        while batch := self._next():
            try:
                answer = self._post(body_of(batch))
            except ClientError as exc:
                self._wait(batch, exc)
            else:
                with self._changed:
                    if len(self._buffer):
                        self._buffer.answered(batch, answer)
                    self._changed.notify_all()

    def _next(self) -> list[bytes]:
        """The next batch, after a while in which more may come. Nothing if closed and done."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._buffer) or self._until is not None)
            self._changed.wait_for(lambda: self._buffer.full or self._pressed, self._buffer.tracking.interval)
            return [] if self._over else self._buffer.batch()

    def _wait(self, batch: list[bytes], exc: ClientError) -> None:
        with self._changed:
            if not len(self._buffer):
                return
            end = time.monotonic() + self._buffer.failed(batch, exc)
            self._changed.notify_all()
            while not self._over and (now := time.monotonic()) < end:
                self._changed.wait(min(end, self._until or end) - now)

    @property
    def _pressed(self) -> bool:
        return self._hurry > 0 or self._until is not None

    @property
    def _over(self) -> bool:
        return self._until is not None and time.monotonic() >= self._until


class AsyncTracker:
    """For one event loop. post: sends a body once, and raises ClientError."""

    def __init__(self, post: Callable[[bytes], Awaitable[Accepted]], tracking: Tracking) -> None:
        self._post = post
        self._buffer = Buffer(tracking)
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._press = asyncio.Event()  # do not wait for more
        self._hurry = 0
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def tally(self) -> Tracked:
        return self._buffer.tally

    def track(self, event: Mapping[str, Any]) -> bool:
        if self._closing:
            raise ValueError(_CLOSED)
        kept = _put(self._buffer, event)
        if kept:
            self._some.set()
            self._none.clear()
        if self._buffer.full:
            self._press.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="peregrine-track")
        return kept

    async def flush(self, seconds: float) -> bool:
        if not len(self._buffer):
            return True
        self._hurry += 1
        self._press.set()
        try:
            await asyncio.wait_for(self._none.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            self._hurry -= 1
        return True

    async def close(self) -> None:
        """Sends what waits, for as long as may be, and says what was dropped."""
        if self._closing:
            return
        self._closing = True
        self._some.set()
        self._press.set()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=self._buffer.tracking.closing)
            for task in late:
                task.cancel()
                await asyncio.wait({task})
        _give_up(self._buffer)

    async def _run(self) -> None:
        while batch := await self._next():
            try:
                answer = await self._post(body_of(batch))
            except ClientError as exc:
                seconds = self._buffer.failed(batch, exc)
                self._settle()
                await asyncio.sleep(seconds)
            else:
                self._buffer.answered(batch, answer)
                self._settle()

    async def _next(self) -> list[bytes]:
        """The next batch, after a while in which more may come. Nothing if closed and done."""
        await self._some.wait()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._press.wait(), self._buffer.tracking.interval)
        return self._buffer.batch()

    def _settle(self) -> None:
        if not len(self._buffer):
            self._none.set()
            if not self._closing:
                self._some.clear()
        if not (self._closing or self._hurry or self._buffer.full):
            self._press.clear()


def _put(buffer: Buffer, event: Mapping[str, Any]) -> bool:
    kept = buffer.put(event)
    if not kept and buffer.tally.dropped == 1:
        log.warning("tracked events are dropped: %d wait already (%s)", len(buffer), buffer.tally.reason)
    return kept


def _give_up(buffer: Buffer) -> None:
    buffer.drop()
    tally = buffer.tally
    if tally.dropped or tally.rejected:
        log.warning(
            "of tracked events %d were dropped and %d rejected: %s", tally.dropped, tally.rejected, tally.reason
        )
