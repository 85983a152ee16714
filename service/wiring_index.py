"""Settings into an item index."""

from __future__ import annotations

from service.adapters.exact_index import ExactIndex
from service.adapters.ivf_index import LEAST, IvfIndex
from service.ports import ItemIndex, TemporalModel
from service.settings import Settings


def new_index(settings: Settings, model: TemporalModel) -> ItemIndex:
    """With the events as the clock, lists must not depend on how fast they are asked for."""
    at_once = settings.clock == "event"
    if settings.index == "exact" or (settings.index == "auto" and at_once):
        return ExactIndex(model, at_once)
    return IvfIndex(model, at_once, 1 if settings.index == "ivf" else LEAST)
