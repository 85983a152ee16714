"""HTTP to a language model or an embedder: bounded, explicit timeouts, statuses into our errors, no retries.

Neither what is sent nor what comes back is written to a log.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import time

import httpx

from service.errors import EndpointRefused, EndpointUnavailable

CONNECT_SECONDS = 5.0
MOST_BYTES = 4_000_000
"""Of an answer."""
LONGEST_WAIT = 3_600.0
"""Seconds: an endpoint that asks for more is asked again after that."""
_REFUSALS = {401: "wants another key", 402: "wants money", 403: "does not allow it"}
_BUSY = frozenset({408, 409, 425, 429})

logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs a line for each request at info


class Unreached(EndpointUnavailable):
    """Nothing was sent."""


class HttpEndpoint:
    """url: with the version, as OpenAI's own ends in /v1; timeout: seconds for a whole answer; connections: at once,
    who comes then waits, which is not counted.

    Each connection has a client to itself: a pool looks at all that it holds before each request.
    """

    def __init__(self, url: str, api_key: str | None, timeout: float, connections: int) -> None:
        trust = httpx.create_ssl_context()
        self._clients = [
            httpx.AsyncClient(
                base_url=url.rstrip("/"),
                headers=headers(api_key),
                timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
                limits=httpx.Limits(max_connections=1),
                verify=trust,
                follow_redirects=False,
            )
            for _ in range(connections)
        ]
        self._free = list(self._clients)
        self._turn = asyncio.Semaphore(connections)
        self._timeout = timeout

    async def post(self, path: str, content: bytes) -> httpx.Response:
        """The answer, read, whatever its status. Raises EndpointUnavailable; Unreached if it cost nothing for sure."""
        async with self._turn:
            client = self._free.pop()
            try:
                async with asyncio.timeout(self._timeout):
                    return await _post(client, path, content)
            except TimeoutError:
                raise EndpointUnavailable(f"no whole answer within {self._timeout:g} s") from None
            finally:
                self._free.append(client)

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()


async def _post(client: httpx.AsyncClient, path: str, content: bytes) -> httpx.Response:
    try:
        async with client.stream("POST", path, content=content) as response:
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise EndpointUnavailable(f"the answer is longer than {MOST_BYTES:,} bytes")
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
        raise Unreached(f"not reached: {type(exc).__name__}") from None
    except httpx.HTTPError as exc:
        raise EndpointUnavailable(f"no answer: {type(exc).__name__}") from None
    kept = {"retry-after": response.headers.get("retry-after", ""), "content-type": "application/json"}
    return httpx.Response(response.status_code, headers=kept, content=body)


def headers(api_key: str | None) -> dict[str, str]:
    kind = {"content-type": "application/json"}
    return kind | ({"authorization": f"Bearer {api_key}"} if api_key else {})


def check(response: httpx.Response) -> None:
    """Raises EndpointUnavailable or EndpointRefused for the statuses that stand for them."""
    status = response.status_code
    if status in _REFUSALS:
        raise EndpointRefused(f"the endpoint {_REFUSALS[status]} (status {status})")
    if status in _BUSY or (status >= httpx.codes.INTERNAL_SERVER_ERROR and status != httpx.codes.NOT_IMPLEMENTED):
        raise EndpointUnavailable(f"status {status}", retry_after(response.headers.get("retry-after", "")))


def retry_after(value: str) -> float | None:
    """Seconds that an answer asks for, as a number or as a date; None if it does not, or not readably."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT) if seconds == seconds else None  # noqa: PLR0124 - NaN differs from itself
