"""The whole state in dense arrays: what training and evaluation hold where the service holds blobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.process.apply import Commits, apply, visible_items
from model.process.batch import Events, Items, Users, stable_hash
from model.process.popularity import popularity_features
from model.process.read import pair_scores, user_inputs
from model.process.records import NEVER, PAIR, Float, Int, Records, new_items, new_users
from model.process.score import score_all, widen_items, widen_users
from model.process.temporal_model import TemporalModel, UserInputs


class State:
    """Users and items with fixed codes 0..U-1, 0..N-1, and the log's time.

    item_ids: ids by code, for the stable hash; static: (N, s) x_i; available_from: (N,) seconds or -NEVER; facets:
    of users (B,) at their moments (B,) [s], (B, 4, d_f), which describe what came before these moments.
    Item vectors and popularity are cached and refreshed as `apply` moves them.
    """

    def __init__(
        self,
        model: TemporalModel,
        user_count: int,
        item_ids: Sequence[str],
        static: Float,
        available_from: Int,
        facets: Callable[[Int, Int], Float] | None = None,
    ) -> None:
        self.model = model
        self._facets = facets
        self.users = new_users(user_count, model.spec, model.initial_user)
        self.pairs: list[Records] = [np.empty(0, dtype=PAIR)] * user_count
        self.items = new_items(len(item_ids), model.spec, model.initial_item)
        self.items["x"] = static
        self.items["available_from"] = available_from
        self.hash = stable_hash(item_ids)
        self.log_time = NEVER
        self._vectors = visible_items(self.items, NEVER, model)
        self._open: set[int] = set()
        self._tick = NEVER
        self._matrix: Float | None = None
        self._pop_at = NEVER

    def restore(self, users: Users, items: Records, log_time: int) -> None:
        """Takes over records (U,) with their pairs and (N,), as they stand in a store, and the log's time [s]."""
        self.users = users.rows
        self.pairs = [users.pairs_of(user) for user in range(len(users))]
        self.items = items
        self.log_time = log_time
        self._tick = log_time // self.model.spec.item_tick
        self._vectors = visible_items(items, self._tick, self.model)
        self._open = set(np.flatnonzero(items["key"] >= self._tick).tolist())
        self._matrix = None

    def gather(self, users: Int) -> Users:
        return Users.gather(self.users[users], [self.pairs[u] for u in users])

    def apply(self, events: Events, commits: Commits | None = None) -> None:
        """Applies events whose `user` and `item` are codes of this state."""
        user_codes, user = np.unique(events.user, return_inverse=True)
        item_codes, item = np.unique(events.item, return_inverse=True)
        users = self.gather(user_codes)
        items = Items(self.items[item_codes], item_codes.astype(np.uint32), self.hash[item_codes])
        local = Events(user, item, events.timestamp, events.type, events.value, events.offset)
        self.log_time = apply(users, items, local, self.log_time, self.model, self.hash, commits)
        if commits is not None:
            commits.users = [(user_codes[which], rows) for which, rows in commits.users]
            commits.items = [(item_codes[which], rows) for which, rows in commits.items]
            commits.opened = [replace(opened, users=user_codes[opened.users]) for opened in commits.opened]
        self.users[user_codes] = users.rows
        self.items[item_codes] = items.rows
        for place, code in enumerate(user_codes):
            self.pairs[code] = users.pairs_of(place)
        self._moved(item_codes)

    def _moved(self, codes: Int) -> None:
        """Refreshes what the event changed in the item matrix: closed ticks' vectors, popularity of the touched."""
        tick = self.log_time // self.model.spec.item_tick
        self._open.update(codes.tolist())
        if tick != self._tick:
            closing = np.fromiter(self._open, dtype=np.int64)
            self._vectors[closing] = visible_items(self.items[closing], tick, self.model)
            self._open = set(closing[self.items["key"][closing] >= tick].tolist())
            self._tick = tick
            self._matrix = None
        if self._matrix is not None and self._pop_at == self.log_time // self.model.spec.pop_step:
            fresh = self.model.popularity(popularity_features(self.items[codes], self.log_time, self.model.spec))
            self._matrix[codes, self.model.spec.dim :] = fresh
        else:
            self._matrix = None

    @property
    def item_vectors(self) -> Float:
        """(N, d) visible vectors at the tick of the log's time."""
        return self._vectors

    @property
    def matrix(self) -> Float:
        """(N, d + P) the item matrix at the log's time."""
        if self._matrix is None:
            features = popularity_features(self.items, self.log_time, self.model.spec)
            self._matrix = widen_items(self._vectors, self.model.popularity(features))
            self._pop_at = self.log_time // self.model.spec.pop_step
        return self._matrix

    def available(self) -> NDArray[np.bool_]:
        """(N,) items that had an event, or whose `available_from` the log's time has reached."""
        return np.asarray((self.items["first_event"] != NEVER) | (self.items["available_from"] <= self.log_time))

    def read(self, users: Int, at: Int) -> UserInputs:
        """What is seen of B users, each at its own moment [s]."""
        return user_inputs(self.gather(users), at, self._vectors, self.items, self.model.spec, self.facets(users, at))

    def facets(self, users: Int, at: Int) -> Float | None:
        """(B, 4, d_f) of B users at their moments [s], or None without profiles."""
        return None if self._facets is None else self._facets(users, at)

    def score(self, users: Int, at: Int) -> Float:
        """(B, N) scores of every item for B users, each at its own moment [s]. Writes nothing."""
        inputs = self.read(users, at)
        embedded = self.model.embed_users(inputs)
        owner, item, addition = pair_scores(inputs, embedded, self.model)
        return score_all(widen_users(embedded.h, embedded.w_pop), self.matrix, owner, item, addition)
