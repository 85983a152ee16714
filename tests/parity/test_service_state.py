"""What is served is what was trained: over 10,000 real events and HTTP, Valkey and ONNX give training's own state."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from service.commands.bundles import shipped
from service.processes.all_in_one import Stack
from service.settings import load_settings
from tests.parity.growth import FLOATS, checkpoints, purchases

WRITTEN_BY_ONE_SIDE = ("offset",)
"""Offsets count catalogue changes, too, which training's arrays do not have."""


def test_the_service_gives_training_its_own_state_whatever_the_order_inside_a_timestamp(tmp_path: Path) -> None:
    dataset = purchases(10_000)
    settings = load_settings(data_dir=tmp_path, bundle=shipped(), clock="event", port=0, log_level="error")
    with Stack(settings, lambda *_: None) as stack:
        (last,) = checkpoints(stack, dataset, every=len(dataset))
    assert last.events >= 10_000
    assert last.served.log_time == last.trained.log_time
    for ours, theirs in ((last.served.users, last.trained.users), (last.served.items, last.trained.items)):
        for name in ours.dtype.names:
            if name in WRITTEN_BY_ONE_SIDE:
                continue
            if name in FLOATS:
                # sums in another order and batches of other sizes, a few ulp a step over hundreds of steps
                np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-5, err_msg=name)
            else:
                np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    for ours, theirs in zip(last.served.pairs, last.trained.pairs, strict=True):
        for name in ("item", "count", "moments", "first_moment", "last_moment", "first", "last"):
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
        np.testing.assert_allclose(ours["decayed"], theirs["decayed"], rtol=1e-4)
