"""Short commits and feed entries for the suites of the state and the feed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.process.records import layout
from service.core.types import Commit, FeedEntry, Position
from tests.process.toy import TOY_SPEC


def commit_of(epoch: int, previous: int, offset: int, **parts: Any) -> Commit:
    """A commit that moves the state from one offset to another; item_count is taken from `parts` or left 0."""
    position = Position(offset, 1_000 + offset, offset // 10, parts.pop("item_count", 0), "log", "bundle")
    return Commit(epoch, previous, position, **parts)


def feed_entry(offset: int, new_items: Sequence[str] = (), counted: int = 0, shown: int = 0) -> FeedEntry:
    """An entry whose arrays are filled with numbers made from its offset."""
    rng = np.random.default_rng(offset)
    counters = np.zeros(counted, dtype=layout(TOY_SPEC).counters)
    counters["offset"] = offset
    counters["first_event"] = rng.integers(-(2**62), 2**62, size=counted)
    counters["popularity"] = rng.normal(size=counters["popularity"].shape)
    return FeedEntry(
        Position(offset, 1_000 + offset, offset // 10, len(new_items)),
        tuple(new_items),
        np.arange(counted, dtype=np.uint32),
        counters,
        np.arange(shown, dtype=np.uint32)[::-1].copy(),
        rng.normal(size=(shown, TOY_SPEC.dim)).astype(np.float32),
        {offset + n: b'{"n": "\xc3\xbc"}' * n for n in range(offset % 3)},
        trace=f"trace {offset}" if offset % 2 else "",
    )


def assert_same_entry(got: FeedEntry, sent: FeedEntry) -> None:
    """Equal to the last bit."""
    for name in ("position", "new_items", "documents", "trace"):
        assert getattr(got, name) == getattr(sent, name), name
    for name in ("counter_index", "counters", "vector_index", "vectors"):
        np.testing.assert_array_equal(getattr(got, name), getattr(sent, name), err_msg=name)
