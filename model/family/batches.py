"""How the stream is cut for models whose memory moves by batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from model.data.dataset import Dataset, Int64Array


@dataclass(frozen=True, eq=False)
class Batch:
    """E events in order of time. user, item: (E,) node numbers, items after all users; time [s]; kind: type codes."""

    user: Tensor
    item: Tensor
    time: Tensor
    kind: Tensor

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def of(cls, events: Dataset) -> Batch:
        columns = (events.user, events.item + np.int64(events.n_users), events.timestamp, events.event_type)
        return cls(*(torch.from_numpy(column.astype(np.int64)) for column in columns))

    @classmethod
    def join(cls, parts: Sequence[Batch]) -> Batch:
        """One after the other."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def take(self, rows: slice) -> Batch:
        return Batch(self.user[rows], self.item[rows], self.time[rows], self.kind[rows])

    def moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Users (M,) and times (M,) of the events, each pair once, and (E,) the place of each event among them."""
        start, span = self.time[0], self.time[-1] - self.time[0] + 1
        keys, place = torch.unique(self.user * span + self.time - start, return_inverse=True)
        return keys // span, keys % span + start, place

    @property
    def both(self) -> Tensor:
        """(2 E,) the users and then the items."""
        return torch.cat([self.user, self.item])


def whole_timestamps(timestamp: Int64Array, least: int) -> Iterator[slice]:
    """Rows in order: as soon as a batch holds `least` events it ends with their timestamp; the last one may be short.

    A batch never divides a timestamp, so what is bought together is scored from one state, as it is evaluated.
    """
    ends = np.append(np.flatnonzero(np.diff(timestamp)) + 1, len(timestamp))
    first = 0
    while first < len(timestamp):
        end = int(ends[np.searchsorted(ends, min(first + least, len(timestamp)))])
        yield slice(first, end)
        first = end
