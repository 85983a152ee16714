"""The running service as a `Scorer` of `model.evaluate`: its lists are what is counted, by the evaluator itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from model.process.records import Float, Int
from service.client import Client, Conflict, Recommendations
from service.commands import datasets
from service.commands.posting import PATIENCE, Account, NotApplied, patiently
from service.errors import ConfigurationError

if TYPE_CHECKING:
    from model.data import Dataset

LIST_LENGTH = 30
"""The largest cutoff of the metrics: an item beyond a list this long is a miss at all of them."""


class LiveService:
    """Posts events and asks for lists over HTTP.

    Scores are those of the lists, -inf for whatever is on none, which ranks it behind all of them: Recall and NDCG are
    exact, MRR is cut at the end of the list. discover: also ask for the lists without what the user has had.
    """

    def __init__(self, client: Client, dataset: Dataset, discover: bool = True) -> None:
        self.account = Account(client)
        self._client = client
        self._dataset = dataset
        self._code = {item_id: code for code, item_id in enumerate(dataset.item_ids)}
        self._variants = (False, True) if discover else (False,)

    def apply(self, events: Dataset) -> None:
        """Posts the events; lists asked for afterwards wait for them."""
        for batch in datasets.batches(datasets.events(events)):
            self.account.post(batch)

    def score(self, users: Int, at: Int) -> Float:
        """(B, N) for B users, each at its own moment [s]."""
        scores = np.full((len(users), self._dataset.n_items), -np.inf, dtype=np.float32)
        for row, (user, moment) in enumerate(zip(users.tolist(), at.tolist(), strict=True)):
            for exclude_seen in self._variants:
                for entry in self.ask(self._dataset.user_ids[user], moment, exclude_seen).items:
                    if (code := self._code.get(entry.item_id)) is not None:
                        scores[row, code] = entry.score
        return scores

    def ask(self, user_id: str, at: int | None, exclude_seen: bool = False, k: int = LIST_LENGTH) -> Recommendations:
        """A list in which everything posted so far shows. Raises NotApplied if that takes too long."""
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = patiently(lambda: self._ask(user_id, at, exclude_seen, k))
            if not answer.state.stale:
                return answer
            if time.monotonic() > deadline:
                raise NotApplied(
                    f"the service stands at offset {answer.state.offset} of {self.account.offset}: is the worker "
                    "running? `peregrine doctor` looks"
                )

    def _ask(self, user_id: str, at: int | None, exclude_seen: bool, k: int) -> Recommendations:
        try:
            return self._client.recommendations(user_id, k, at, exclude_seen, min_offset=self.account.offset)
        except Conflict as exc:
            raise ConfigurationError(
                f"{exc.detail}: the service has later events than the replay, so lists as of the data cannot be had. "
                "Replay into a service that holds only what comes before"
            ) from exc
