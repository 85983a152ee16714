"""The client for code that waits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx

from service.client import calls
from service.client.answers import Accepted, Json, Recommendations, Status
from service.client.buffer import Tracked, Tracking
from service.client.calls import Call
from service.client.errors import Busy
from service.client.patience import Patience, repeatable
from service.client.tracker import Tracker
from service.client.transport import EXPORT_TIMEOUT, PATIENCE, TIMEOUT, TRACKING, headers, unreachable

T = TypeVar("T")


class Client:
    """Synchronous client; close it, or use it as a context manager. Raises ClientError."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        timeout: httpx.Timeout = TIMEOUT,
        patience: float = PATIENCE,
        tracking: Tracking = TRACKING,
    ) -> None:
        self.url = url.rstrip("/")
        self._patience = patience
        self._http = httpx.Client(base_url=self.url, headers=headers(api_key), timeout=timeout)
        self._tracker = Tracker(lambda body: self._once(calls.post_events(body, False)), tracking)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Sends what was tracked first (`Tracking.closing`); `tracked` says what was dropped, and so does the log."""
        self._tracker.close()
        self._http.close()

    def track(self, event: Mapping[str, Any]) -> bool:
        """Takes an event, to be sent soon from the background, and returns at once: False if there is no room for it.

        While the service is away or busy events wait; each is counted once, however often it is sent (`event_id`).
        """
        return self._tracker.track(event)

    def flush(self, seconds: float = 10.0) -> bool:
        """Waits until the service has answered for all that was tracked. False if it has not after `seconds`."""
        return self._tracker.flush(seconds)

    @property
    def tracked(self) -> Tracked:
        """What became of the tracked events."""
        return self._tracker.tally

    def post_events(self, events: Sequence[Mapping[str, Any]] | bytes, wait: bool = False) -> Accepted:
        """Up to 1,000 events (or their `encode_events`); with `wait`, answers when lists show them, or after 2 s."""
        return self._do(calls.post_events(events, wait))

    def recommendations(
        self,
        user_id: str,
        k: int = 20,
        at: int | str | None = None,
        exclude_seen: bool = False,
        min_offset: int | None = None,
    ) -> Recommendations:
        """Top-K of a user. at: unix seconds or RFC 3339; min_offset: of events that must be in (see `state.stale`)."""
        return self._do(calls.recommendations(user_id, k, at, exclude_seen, min_offset))

    def recommend(self, asked: Mapping[str, Any]) -> Recommendations:
        """The same with every option that `POST /v1/recommendations` takes: filter, pins, events, cursor, ..."""
        return self._do(calls.recommend(asked))

    def get_request(self, request_id: str) -> Json:
        """What was shown for a request, and what came of it. Raises NotFound."""
        return self._do(calls.get_request(request_id))

    def patch_item(self, item_id: str, changes: Mapping[str, Any]) -> Json:
        return self._do(calls.patch_item(item_id, changes))

    def delete_item(self, item_id: str) -> Json:
        return self._do(calls.delete_item(item_id))

    def put_item(self, item_id: str, item: Mapping[str, Any]) -> Json:
        return self._do(calls.put_item(item_id, item))

    def get_item(self, item_id: str) -> Json:
        return self._do(calls.get_item(item_id))

    def get_items(self, item_ids: Sequence[str]) -> Json:
        """Up to 1,000 items of the catalogue, and the ids it does not know: `items`, `missing`."""
        return self._do(calls.get_items(item_ids))

    def page_items(self, limit: int = 100, cursor: str | None = None) -> Json:
        """A page of all items, in the order in which they became known: `items`, and `cursor` for the next one."""
        return self._do(calls.page_items(limit, cursor))

    def similar_items(self, item_id: str, k: int = 20) -> Json:
        """Items whose vectors are nearest. Raises NotFound."""
        return self._do(calls.similar_items(item_id, k))

    def shelf(self, name: calls.Shelf, k: int = 20, **conditions: str) -> Json:
        """Popular, trending or latest items. conditions: of the query, as `category="shoes"`."""
        return self._do(calls.shelf(name, k, conditions))

    def put_items(self, items: Iterable[Mapping[str, Any]], wait: bool = False) -> Accepted:
        """Items with their `item_id`, as one bulk; with `wait`, answers when lists show them, or after 2 s."""
        return self._do(calls.put_items(items, wait))

    def get_user(self, user_id: str, pairs: bool = False) -> Json:
        """What is known of a user; with `pairs`, how often of each item. Raises NotFound."""
        return self._do(calls.get_user(user_id, pairs))

    def set_personalised(self, user_id: str, personalised: bool) -> Json:
        """Switches a user off, or on again; answers when it is in force, or after 2 s."""
        return self._do(calls.set_personalised(user_id, personalised))

    def get_profile(self, user_id: str) -> Json:
        """What describes a user. Raises NotFound."""
        return self._do(calls.profile("GET", user_id))

    def edit_profile(self, user_id: str, edits: Mapping[str, Any]) -> Json:
        """Overrides and blocks facets: `{"override": {"interest": ["chess"]}, "block": ["brand"]}`."""
        return self._do(calls.profile("PUT", user_id, edits))

    def reset_profile(self, user_id: str) -> Json:
        return self._do(calls.profile("DELETE", user_id))

    def refresh_profile(self, user_id: str) -> Json:
        return self._do(calls.profile("POST", user_id))

    def erase_user(self, user_id: str) -> Json:
        """Hides a user and begins to erase what they did: `erasure_id`, `status`."""
        return self._do(calls.erase_user(user_id))

    def get_erasure(self, erasure_id: str) -> Json:
        """How far an erasure is: `status` pending or complete. Raises NotFound."""
        return self._do(calls.get_erasure(erasure_id))

    def export_user(self, user_id: str) -> Iterator[str]:
        """Everything that is stored about a user, one JSON object a line; the last one's `record` is `end`."""
        try:
            with self._http.stream("GET", calls.export_user(user_id), timeout=EXPORT_TIMEOUT) as response:
                if not response.is_success:
                    response.read()
                    calls.refuse(response)
                yield from response.iter_lines()
        except httpx.HTTPError as exc:
            raise unreachable(self.url, exc) from exc

    def ready(self) -> Status:
        return self._do(calls.ready())

    def get(self, path: str) -> Json:
        """The JSON object at a path of the API. Raises NotFound."""
        return self._do(calls.get(path))

    def metrics(self) -> str:
        """What Prometheus collects, in its text format."""
        return self._do(calls.metrics())

    def version(self) -> Json:
        return self._do(calls.get("/version"))

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Any route by its path, as /docs shows them: `call("GET", "/v1/models")`. {} for an answer without content."""
        return self._do(calls.any_of(method, path, body))

    def _do(self, call: Call[T]) -> T:
        patience = Patience(self._patience)
        while True:
            try:
                return self._once(call)
            except Busy as exc:
                if not repeatable(call.method, exc):
                    raise
                time.sleep(patience.pause(exc))

    def _once(self, call: Call[T]) -> T:
        try:
            response = self._http.request(
                call.method, call.path, params=call.params, content=call.content, headers=call.headers
            )
        except httpx.HTTPError as exc:
            raise unreachable(self.url, exc) from exc
        return call.read(response)
