"""What the state machine compares with: the records of a log applied one after the other, in arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from model.process.batch import Events
from model.process.records import NEVER, PAIR, SWITCHED_OFF, new_users
from model.process.state import State
from service.core.types import Erase, Event, ItemChange, Switch
from tests.process.toy import TOY_SPEC, ToyModel

SPEC = TOY_SPEC.model_copy(update={"embedder": "toy", "text_dim": 4, "max_pairs": 4})
MODEL = ToyModel(SPEC)

GONE: Literal["gone"] = "gone"
Told = Event | ItemChange | Erase | Switch | Literal["gone"] | None
"""A record of the log; GONE for what an erasure has left of one, None for what cannot be applied."""


def items_of(told: Sequence[Told]) -> list[str]:
    """In the order of the log."""
    return list(dict.fromkeys(one.item_id for one in told if isinstance(one, Event | ItemChange)))


def users_of(told: Sequence[Told]) -> list[str]:
    """Whoever has a record: switched off, or active since they were erased or switched on again."""
    known: dict[str, bool] = {}
    for one in told:
        if isinstance(one, Event):
            known.setdefault(one.user_id, True)
        elif isinstance(one, Erase) or (isinstance(one, Switch) and one.on and not known.get(one.user_id, True)):
            known.pop(one.user_id, None)
        elif isinstance(one, Switch) and not one.on:
            known[one.user_id] = False
    return sorted(known)


def one_by_one(told: Sequence[Told]) -> State:
    """Users and items by their places in `users_of` and `items_of`; offsets count from 1."""
    users, items = users_of(told), items_of(told)
    others = sorted({one.user_id for one in told if isinstance(one, Event | Erase | Switch)} - set(users))
    found = _one_by_one(told, users + others, items)
    found.users, found.pairs = found.users[: len(users)], found.pairs[: len(users)]
    return found


def _one_by_one(told: Sequence[Told], users: list[str], items: list[str]) -> State:
    static = MODEL.static_items(np.zeros((len(items), SPEC.text_dim), np.float32))
    state = State(MODEL, len(users), items, static, np.full(len(items), -NEVER))
    for offset, one in enumerate(told, 1):
        if isinstance(one, Event):
            state.apply(_arrays(one, users.index(one.user_id), items.index(one.item_id), offset))
        elif isinstance(one, ItemChange):
            _put(state, one, items.index(one.item_id), offset)
        elif isinstance(one, Erase | Switch):
            _mark(state, one, users.index(one.user_id))
    return state


def _mark(state: State, marker: Erase | Switch, user: int) -> None:
    """Blank, with the flag of one who is switched off. Switching on who is on changes nothing."""
    was_off = state.users["flags"][user] & SWITCHED_OFF
    if isinstance(marker, Erase) or not marker.on or was_off:
        state.users[user] = new_users(1, SPEC, MODEL.initial_user)[0]
        state.pairs[user] = np.empty(0, PAIR)
        state.users["flags"][user] = SWITCHED_OFF * (isinstance(marker, Switch) and not marker.on)


def _arrays(event: Event, user: int, item: int, offset: int) -> Events:
    kind = np.array([SPEC.type_code(event.type)], np.uint8)
    at, value = np.array([event.timestamp]), np.array([event.value], np.float32)
    return Events(np.array([user]), np.array([item]), at, kind, value, np.array([offset]))


def _put(state: State, change: ItemChange, item: int, offset: int) -> None:
    text = np.frombuffer(change.vector, np.float32) if change.vector else np.zeros(SPEC.text_dim, np.float32)
    state.items["x"][item] = MODEL.static_items(text[None])[0]
    state.items["available_from"][item] = -NEVER if change.available_from is None else change.available_from
    state.items["offset"][item] = offset
