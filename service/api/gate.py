"""Who is let in: a key for each request, what it may, and how often."""

from __future__ import annotations

import base64
import binascii
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers

from service.api.problems import Problem
from service.core.access import Bucket, Key, Scope, find, scope_of

_DETAIL = "send the API key as `Authorization: Bearer <key>` or `X-API-Key: <key>`"
_PAGES = ("/docs", "/openapi.json")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request at the gate. key: name of its key, None where none is needed; scope: what it needs; refusal: why it
    is turned away; headers: of the answer."""

    key: str | None
    scope: Scope | None
    refusal: Problem | None
    headers: tuple[tuple[str, str], ...] = ()


class Gate:
    """keys: those that are valid now, None where callers need none. Rates are counted in this process."""

    def __init__(self, keys: Callable[[], Sequence[Key]] | None) -> None:
        self._keys = keys
        self._buckets: dict[str, Bucket] = {}

    @property
    def guards(self) -> bool:
        return self._keys is not None

    def visit(self, method: str, path: str, headers: Headers) -> Visit:
        """Lets a request in, or says why not: 401 without a valid key, 403 beyond its scopes, 429 above its rate."""
        scope = scope_of(method, path)
        if self._keys is None or scope is None:
            return Visit(None, scope, None)
        key = find(self._keys(), _key_of(headers), time.time())
        if key is None:
            scheme = 'Basic realm="Peregrine"' if path.startswith(_PAGES) else "Bearer"
            return Visit(None, scope, Problem(401, _DETAIL, headers={"www-authenticate": scheme}))
        if not key.may(scope):
            may = ", ".join(key.scopes)
            return Visit(key.name, scope, Problem(403, f"key {key.name!r} may {may}; this needs {scope}"))
        return self._within_rate(key, scope)

    def _within_rate(self, key: Key, scope: Scope) -> Visit:
        if key.per_second is None:
            return Visit(key.name, scope, None)
        bucket = self._buckets.get(key.name)
        if bucket is None or bucket.per_second != key.per_second:
            bucket = self._buckets[key.name] = Bucket(key.per_second)
        taken = bucket.take(time.monotonic())
        wait = str(math.ceil(bucket.wait))
        limits = (
            ("ratelimit-limit", str(int(bucket.size))),
            ("ratelimit-remaining", str(bucket.remaining)),
            ("ratelimit-reset", wait),
        )
        if taken:
            return Visit(key.name, scope, None, limits)
        detail = f"key {key.name!r} may send {key.per_second:g} requests a second"
        return Visit(key.name, scope, Problem(429, detail, headers={"retry-after": wait}), limits)


def _key_of(headers: Headers) -> str:
    """What was sent as the key; a browser's password prompt sends it as the password."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                return base64.b64decode(value, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return ""
    return headers.get("x-api-key", "")
