"""What items are called, remembered for a while."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from service.client import AsyncClient, Json

_SECONDS = 60.0
_MOST = 20_000


@dataclass
class Titles:
    """Items by id, of one page load."""

    service: AsyncClient
    _known: dict[str, tuple[float, Json]] = field(default_factory=dict)

    async def of(self, item_ids: Iterable[str]) -> dict[str, Json]:
        """The items that the catalogue has; for the others, nothing but their id. Raises ClientError."""
        wanted = list(dict.fromkeys(item_ids))
        now = time.monotonic()
        missing = [item_id for item_id in wanted if self._known.get(item_id, (0.0, {}))[0] < now]
        for item_id in (
            odd := [item_id for item_id in missing if "," in item_id]
        ):  # the list of ids has commas between
            self.learn({"item_id": item_id})
        asked = [item_id for item_id in missing if item_id not in odd]
        for start in range(0, len(asked), 200):
            part = asked[start : start + 200]
            found = {item["item_id"]: item for item in (await self.service.get_items(part))["items"]}
            for item_id in part:
                self.learn(found.get(item_id, {"item_id": item_id}))
        return {item_id: self._known[item_id][1] for item_id in wanted}

    def learn(self, item: Json) -> None:
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[item["item_id"]] = (time.monotonic() + _SECONDS, item)

    def forget(self, item_id: str) -> None:
        self._known.pop(item_id, None)


def title_of(item: Json) -> str:
    """Its title, or its id where it has none."""
    return str(item.get("title") or item["item_id"])


def note_of(item: Json) -> str:
    """Category and brand."""
    return " · ".join(str(item[name]) for name in ("category", "brand") if item.get(name))
