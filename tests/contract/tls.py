"""TLS before a server that has none of its own, in a thread: what a rediss:// URL leads to."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_CHUNK = 1 << 18


@contextmanager
def terminated(socket: str, context: ssl.SSLContext) -> Iterator[int]:
    """The port of 127.0.0.1 at which TLS ends; what comes out of it goes to a unix socket."""
    ready = threading.Event()
    ports: list[int] = []
    ends: list[Callable[[], object]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_unix_connection(socket)
        ways = [asyncio.create_task(_forward(reader, behind[1])), asyncio.create_task(_forward(behind[0], writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (behind[1], writer):
            end.close()
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)
        for end in (behind[1], writer):
            with suppress(OSError):
                await end.wait_closed()

    async def run() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(stopped.set))
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await stopped.wait()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.05)  # connections that were closed just now

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(10.0)
    try:
        yield ports[0]
    finally:
        for end in ends:
            end()
        thread.join(10.0)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
