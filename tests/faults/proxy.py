"""A TCP proxy that loses answers, or goes silent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any, Literal

Mode = Literal["pass", "lose answers", "silent"]
_CHUNK = 1 << 18
_POLL_SECONDS = 0.02


class Proxy:
    """From a free port of 127.0.0.1 to `target`, in a thread of its own. `mode` may be set at any time.

    lose answers: requests arrive, the connection ends in place of the answer; silent: nothing passes and nothing ends,
    and goes on where it was.
    """

    def __init__(self, target: int) -> None:
        self.mode: Mode = "pass"
        self.lost = 0
        """Answers that were lost."""
        self.port = 0
        self._target = target
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"proxy-{target}")
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(ended(self._tasks))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.CancelledError):
            await self._forward(reader, writer)
        writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            await first_done(self._pump(reader, ahead, answers=False), self._pump(behind, writer, answers=True))
        finally:
            ahead.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, answers: bool) -> None:
        while data := await source.read(_CHUNK):
            while self.mode == "silent":
                await asyncio.sleep(_POLL_SECONDS)
            if answers and self.mode == "lose answers":
                self.lost += 1
                return
            sink.write(data)
            await sink.drain()


async def first_done(*work: Coroutine[Any, Any, None]) -> None:
    """Returns when one of them ends, and ends the others."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await ended(tasks)


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels them and waits until they are gone."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
