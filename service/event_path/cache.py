"""Records that the writer has just read or written. It is the only writer, so they are what the store holds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class RecordCache(Generic[Key]):
    """Packed records by key, in two generations of about `size` bytes: when the young one is full, the old one goes.

    What one `put` brought stays at least until the next one, so a step can be computed while the commit of the one
    before it is still on its way to the store.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: dict[Key, bytes] = {}
        self._old: dict[Key, bytes] = {}
        self._bytes = 0

    def get(self, keys: Sequence[Key], read: Callable[[Sequence[Key]], list[bytes | None]]) -> list[bytes | None]:
        """Records of distinct `keys`, None where there is none; `read` asks the store for those that are not here."""
        young, old = self._young, self._old
        found = [blob if (blob := young.get(key)) is not None else old.get(key) for key in keys]
        missing = [place for place, blob in enumerate(found) if blob is None]
        if missing:
            for place, blob in zip(missing, read([keys[place] for place in missing]), strict=True):
                found[place] = blob
        return [blob or None for blob in found]

    def put(self, records: Mapping[Key, bytes]) -> None:
        self._young.update(records)
        self._bytes += sum(map(len, records.values()))
        if self._bytes > self._size:
            self._old, self._young, self._bytes = self._young, {}, 0

    def drop(self, keys: Iterable[Key]) -> None:
        """Records that are deleted: there is none, whatever the store may still hold."""
        self.put(dict.fromkeys(keys, b""))

    def clear(self) -> None:
        self._young, self._old, self._bytes = {}, {}, 0
