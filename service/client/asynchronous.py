"""The client for code that awaits: the methods of `Client`, one for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx

from service.client import calls
from service.client.answers import Accepted, Json, Recommendations, Status
from service.client.buffer import Tracked, Tracking
from service.client.calls import Call
from service.client.errors import Busy
from service.client.patience import Patience, repeatable
from service.client.tracker import AsyncTracker
from service.client.transport import EXPORT_TIMEOUT, PATIENCE, TIMEOUT, TRACKING, headers, unreachable

T = TypeVar("T")


class AsyncClient:
    """The same for asyncio. Raises ClientError."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        timeout: httpx.Timeout = TIMEOUT,
        connections: int = 32,
        patience: float = PATIENCE,
        tracking: Tracking = TRACKING,
    ) -> None:
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self.url = url.rstrip("/")
        self._patience = patience
        self._http = httpx.AsyncClient(base_url=self.url, headers=headers(api_key), timeout=timeout, limits=limits)
        self._tracker = AsyncTracker(lambda body: self._once(calls.post_events(body, False)), tracking)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Sends what was tracked first (`Tracking.closing`); `tracked` says what was dropped, and so does the log."""
        await self._tracker.close()
        await self._http.aclose()

    def track(self, event: Mapping[str, Any]) -> bool:
        """Takes an event, to be sent soon by a task, and returns at once: False if there is no room for it.

        While the service is away or busy events wait; each is counted once, however often it is sent (`event_id`).
        """
        return self._tracker.track(event)

    async def flush(self, seconds: float = 10.0) -> bool:
        """Waits until the service has answered for all that was tracked. False if it has not after `seconds`."""
        return await self._tracker.flush(seconds)

    @property
    def tracked(self) -> Tracked:
        """What became of the tracked events."""
        return self._tracker.tally

    async def post_events(self, events: Sequence[Mapping[str, Any]] | bytes, wait: bool = False) -> Accepted:
        """Up to 1,000 events (or their `encode_events`); with `wait`, answers when lists show them, or after 2 s."""
        return await self._do(calls.post_events(events, wait))

    async def recommendations(
        self,
        user_id: str,
        k: int = 20,
        at: int | str | None = None,
        exclude_seen: bool = False,
        min_offset: int | None = None,
    ) -> Recommendations:
        """Top-K of a user. at: unix seconds or RFC 3339; min_offset: of events that must be in (see `state.stale`)."""
        return await self._do(calls.recommendations(user_id, k, at, exclude_seen, min_offset))

    async def recommend(self, asked: Mapping[str, Any]) -> Recommendations:
        """The same with every option that `POST /v1/recommendations` takes: filter, pins, events, cursor, ..."""
        return await self._do(calls.recommend(asked))

    async def get_request(self, request_id: str) -> Json:
        """What was shown for a request, and what came of it. Raises NotFound."""
        return await self._do(calls.get_request(request_id))

    async def patch_item(self, item_id: str, changes: Mapping[str, Any]) -> Json:
        return await self._do(calls.patch_item(item_id, changes))

    async def delete_item(self, item_id: str) -> Json:
        return await self._do(calls.delete_item(item_id))

    async def put_item(self, item_id: str, item: Mapping[str, Any]) -> Json:
        return await self._do(calls.put_item(item_id, item))

    async def get_item(self, item_id: str) -> Json:
        return await self._do(calls.get_item(item_id))

    async def get_items(self, item_ids: Sequence[str]) -> Json:
        """Up to 1,000 items of the catalogue, and the ids it does not know: `items`, `missing`."""
        return await self._do(calls.get_items(item_ids))

    async def page_items(self, limit: int = 100, cursor: str | None = None) -> Json:
        """A page of all items, in the order in which they became known: `items`, and `cursor` for the next one."""
        return await self._do(calls.page_items(limit, cursor))

    async def similar_items(self, item_id: str, k: int = 20) -> Json:
        """Items whose vectors are nearest. Raises NotFound."""
        return await self._do(calls.similar_items(item_id, k))

    async def shelf(self, name: calls.Shelf, k: int = 20, **conditions: str) -> Json:
        """Popular, trending or latest items. conditions: of the query, as `category="shoes"`."""
        return await self._do(calls.shelf(name, k, conditions))

    async def put_items(self, items: Iterable[Mapping[str, Any]], wait: bool = False) -> Accepted:
        """Items with their `item_id`, as one bulk; with `wait`, answers when lists show them, or after 2 s."""
        return await self._do(calls.put_items(items, wait))

    async def get_user(self, user_id: str, pairs: bool = False) -> Json:
        """What is known of a user; with `pairs`, how often of each item. Raises NotFound."""
        return await self._do(calls.get_user(user_id, pairs))

    async def set_personalised(self, user_id: str, personalised: bool) -> Json:
        """Switches a user off, or on again; answers when it is in force, or after 2 s."""
        return await self._do(calls.set_personalised(user_id, personalised))

    async def get_profile(self, user_id: str) -> Json:
        """What describes a user. Raises NotFound."""
        return await self._do(calls.profile("GET", user_id))

    async def edit_profile(self, user_id: str, edits: Mapping[str, Any]) -> Json:
        """Overrides and blocks facets: `{"override": {"interest": ["chess"]}, "block": ["brand"]}`."""
        return await self._do(calls.profile("PUT", user_id, edits))

    async def reset_profile(self, user_id: str) -> Json:
        return await self._do(calls.profile("DELETE", user_id))

    async def refresh_profile(self, user_id: str) -> Json:
        return await self._do(calls.profile("POST", user_id))

    async def erase_user(self, user_id: str) -> Json:
        """Hides a user and begins to erase what they did: `erasure_id`, `status`."""
        return await self._do(calls.erase_user(user_id))

    async def get_erasure(self, erasure_id: str) -> Json:
        """How far an erasure is: `status` pending or complete. Raises NotFound."""
        return await self._do(calls.get_erasure(erasure_id))

    async def export_user(self, user_id: str) -> AsyncGenerator[str, None]:
        """Everything that is stored about a user, one JSON object a line; the last one's `record` is `end`."""
        try:
            async with self._http.stream("GET", calls.export_user(user_id), timeout=EXPORT_TIMEOUT) as response:
                if not response.is_success:
                    await response.aread()
                    calls.refuse(response)
                async for line in response.aiter_lines():
                    yield line
        except httpx.HTTPError as exc:
            raise unreachable(self.url, exc) from exc

    async def ready(self) -> Status:
        return await self._do(calls.ready())

    async def get(self, path: str) -> Json:
        """The JSON object at a path of the API. Raises NotFound."""
        return await self._do(calls.get(path))

    async def metrics(self) -> str:
        """What Prometheus collects, in its text format."""
        return await self._do(calls.metrics())

    async def version(self) -> Json:
        return await self._do(calls.get("/version"))

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Any route by its path, as /docs shows them: `call("GET", "/v1/models")`. {} for an answer without content."""
        return await self._do(calls.any_of(method, path, body))

    async def _do(self, call: Call[T]) -> T:
        patience = Patience(self._patience)
        while True:
            try:
                return await self._once(call)
            except Busy as exc:
                if not repeatable(call.method, exc):
                    raise
                await asyncio.sleep(patience.pause(exc))

    async def _once(self, call: Call[T]) -> T:
        try:
            response = await self._http.request(
                call.method, call.path, params=call.params, content=call.content, headers=call.headers
            )
        except httpx.HTTPError as exc:
            raise unreachable(self.url, exc) from exc
        return call.read(response)
