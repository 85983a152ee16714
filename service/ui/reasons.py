"""The parts of a score as bars. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAMED = ("popularity", "again", "boost", "anyone", "memory", "rest")
_LEAST = 0.005
"""Parts below it would show as 0.00."""


@dataclass(frozen=True, slots=True)
class Part:
    """kind: a name of the API's (`memory`, ...), `facet` or `item`; of: which facet or item."""

    kind: str
    value: float
    of: str = ""


def parts(reason: Mapping[str, Any] | None) -> list[Part]:
    """Parts of an item's `reason`, those that weigh most first; none where nothing is known."""
    if reason is None:
        return []
    found = [Part(kind, float(reason.get(kind) or 0.0)) for kind in NAMED]
    found += [Part("facet", float(value), name) for name, value in (reason.get("facets") or {}).items()]
    found += [Part("item", float(value), name) for name, value in (reason.get("items") or {}).items()]
    return sorted((part for part in found if abs(part.value) >= _LEAST), key=lambda part: -abs(part.value))
