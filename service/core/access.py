"""Who may do what: API keys by their digests, with scopes, a rate and an end. Files, clocks and HTTP are others'."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Scope = Literal["events", "recommend", "catalogue", "models", "privacy", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class Key(BaseModel):
    """One API key. The key itself is nowhere: it is 256 random bits, so a plain digest cannot be guessed back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Who holds it; stands in the audit log.")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    per_second: Annotated[float | None, Field(gt=0, description="Requests a second to one process; null: any.")] = None
    expires: Annotated[int | None, Field(description="Unix seconds from which on it is refused.")] = None

    def may(self, scope: Scope) -> bool:
        """`admin` may everything."""
        return scope in self.scopes or "admin" in self.scopes


class KeyFile(BaseModel):
    """The content of a key file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Key, ...] = ()

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [key.name for key in self.keys]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"keys of the same name: {', '.join(twice)}")
        return self


def digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def find(keys: Iterable[Key], given: str, now: float) -> Key | None:
    """The key whose digest is that of `given`, unless it has expired. Looks at all of them, whichever fits."""
    sought, found = digest(given), None
    for key in keys:
        if hmac.compare_digest(key.sha256, sought):
            found = key
    return None if found is None or (found.expires is not None and found.expires <= now) else found


_READ = frozenset({"GET", "HEAD"})
_RULES: tuple[tuple[frozenset[str] | None, re.Pattern[str], Scope], ...] = (
    (None, re.compile(r"/v1/events"), "events"),
    (None, re.compile(r"/v1/(?:recommendations|rank)(?:/.*)?"), "recommend"),
    (_READ, re.compile(r"/v1/requests/.*", re.DOTALL), "recommend"),
    (_READ, re.compile(r"/v1/users/.+/(?:recommendations|similar)", re.DOTALL), "recommend"),
    (_READ, re.compile(r"/v1/items/(?:trending|popular|latest|.+/similar)", re.DOTALL), "recommend"),
    (None, re.compile(r"/v1/items(?:/.*)?", re.DOTALL), "catalogue"),
    (None, re.compile(r"/v1/(?:users|erasures)/.*", re.DOTALL), "privacy"),
    (None, re.compile(r"/v1/(?:models|experiments)(?:/.*)?", re.DOTALL), "models"),
)
OPEN = ("/livez", "/readyz", "/version", "/docs/assets/")
"""What needs no key: an orchestrator's questions, and files that are in every installation."""


def scope_of(method: str, path: str) -> Scope | None:
    """What a request needs; None if nothing. A path that is not named here needs `admin`."""
    if path in OPEN or path.startswith(OPEN[-1]):
        return None
    for methods, pattern, scope in _RULES:
        if (methods is None or method in methods) and pattern.fullmatch(path):
            return scope
    return "admin"


@dataclass
class Bucket:
    """A rate of `per_second` requests, of which those of one second (at least one) may come at once."""

    per_second: float
    level: float = 0.0
    last: float = float("-inf")

    @property
    def size(self) -> float:
        return max(1.0, self.per_second)

    def take(self, now: float) -> bool:
        """Whether one more is within the rate at `now` [s, of a clock that never goes back]."""
        self.level = max(0.0, self.level - (now - self.last) * self.per_second)
        self.last = now
        if self.level + 1.0 > self.size:
            return False
        self.level += 1.0
        return True

    @property
    def remaining(self) -> int:
        """Requests that may come at once after the last one."""
        return int(self.size - self.level)

    @property
    def wait(self) -> float:
        """Seconds after the last one until another one is within the rate."""
        return max(0.0, (self.level + 1.0 - self.size) / self.per_second)
