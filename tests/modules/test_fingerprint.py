"""A data fingerprint is the same for the same events, and another for any others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.data.fingerprint import fingerprint
from tests.modules.streams import random_stream

STREAM = random_stream(seed=1, n_events=200, n_users=5, n_items=9)


def test_the_same_events_have_the_same_fingerprint() -> None:
    again = random_stream(seed=1, n_events=200, n_users=5, n_items=9)
    assert fingerprint(STREAM) == fingerprint(again)
    assert fingerprint(STREAM)["events"] == len(STREAM)
    assert fingerprint(STREAM)["first"] == int(STREAM.timestamp[0])


@pytest.mark.parametrize("column", ["user", "item", "timestamp", "event_type", "value"])
def test_one_changed_event_changes_it(column: str) -> None:
    values = getattr(STREAM, column).copy()
    values[7] += 1
    assert fingerprint(replace(STREAM, **{column: values}))["sha256"] != fingerprint(STREAM)["sha256"]


def test_other_ids_change_it() -> None:
    renamed = replace(STREAM, item_ids=["x", *STREAM.item_ids[1:]])
    assert fingerprint(renamed)["sha256"] != fingerprint(STREAM)["sha256"]
    assert fingerprint(STREAM.subset(np.ones(len(STREAM), bool)))["sha256"] == fingerprint(STREAM)["sha256"]
