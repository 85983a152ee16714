"""The demo's screen: one household's list after each of its baskets, and how the contenders do, side by side."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import numpy as np
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from service.commands import terminal
from service.commands.contest import Contest
from service.commands.live import LiveService

if TYPE_CHECKING:
    from model.data import Dataset

_SHOWN = 12
"""Length of the household's list."""
_REFRESH = 0.5
"""Seconds between two looks at the contest."""


@dataclass(frozen=True)
class Basket:
    """One basket of the household. bought: item codes; before, after: its list around it, item ids."""

    moment: int
    bought: tuple[str, ...]
    before: list[str]
    after: list[str]

    def arrow(self, item_id: str) -> str:
        """How an item of the new list has moved."""
        if item_id not in self.before:
            return "[cyan]new[/]"
        moved = self.before.index(item_id) - self.after.index(item_id)
        return f"[green]▲{moved}[/]" if moved > 0 else f"[red]▼{-moved}[/]" if moved < 0 else ""

    def mark(self, item_id: str) -> str:
        """Whether it was bought just now, and stood on the list before."""
        if item_id not in self.bought:
            return ""
        return "[bold green]✓ hit[/]" if item_id in self.before else "[green]bought[/]"


class Screen:
    """Use as a context manager around the replay of rows [start, stop). plain: a progress bar and nothing else."""

    def __init__(self, dataset: Dataset, rows: tuple[int, int], plain: bool, url: str) -> None:
        self._dataset = dataset
        self._total = rows[1] - rows[0]
        self._url = url
        self._household = _busiest(dataset, rows)
        self._title = dict(zip(dataset.item_ids, dataset.items.title, strict=True))
        self._basket: Basket | None = None
        self._fresh: deque[float] = deque(maxlen=200)
        self._recalls: dict[str, float] = {}
        self._done = 0
        self._begun = self._looked = time.monotonic()
        self._bar = terminal.progress("{task.fields[note]}")
        self._task = self._bar.add_task("replay", total=self._total, note="")
        self._live = None if plain or not terminal.stderr().is_terminal else Live(console=terminal.stderr())
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        self._exits.enter_context(self._live or self._bar)
        return self

    def __exit__(self, *_: object) -> None:
        self._refresh()
        self._exits.close()

    @contextmanager
    def watching(self, live: LiveService, first: int, end: int) -> Iterator[None]:
        """Around the posting of rows [first, end): asks for the household's list before and after, if it is in them."""
        mine = self._dataset.user[first:end] == self._household
        if self._live is None or not mine.any():
            yield
            return
        user, moment = self._dataset.user_ids[self._household], int(self._dataset.timestamp[first])
        before = live.ask(user, moment, k=_SHOWN)
        yield
        accepted = time.perf_counter()
        after = live.ask(user, moment, k=_SHOWN)
        self._fresh.append(time.perf_counter() - accepted)
        bought = tuple(self._dataset.item_ids[code] for code in self._dataset.item[first:end][mine])
        ids = [[entry.item_id for entry in answer.items] for answer in (before, after)]
        self._basket = Basket(moment, bought, *ids)

    def advance(self, events: int, contest: Contest) -> None:
        """`events` more are applied."""
        self._done += events
        if time.monotonic() - self._looked > _REFRESH or self._done == self._total:
            self._recalls = contest.recall_at_20()
            self._looked = time.monotonic()
            self._refresh()

    def _refresh(self) -> None:
        speed = self._done / max(1e-9, time.monotonic() - self._begun)
        if self._live is None:
            shown = "  ".join(f"{name} {value:.3f}" for name, value in self._recalls.items())
            self._bar.update(self._task, completed=self._done, note=shown)
            return
        self._bar.update(self._task, completed=self._done, note=f"{speed:,.0f} events/s, {self._freshness()}")
        self._live.update(Group(Text(f"Peregrine, live at {self._url}"), self._bar.get_renderable(), self._tables()))

    def _freshness(self) -> str:
        if not self._fresh:
            return ""
        return f"a basket shows after {1000 * float(np.median(self._fresh)):.0f} ms"

    def _tables(self) -> RenderableType:
        contest = Table("contender", "Recall@20", title="hits so far")
        for name, value in self._recalls.items():
            contest.add_row(name.replace("_", " "), f"{value:.4f}", style="bold" if name == "live" else "")
        return Columns([contest, *([self._list(self._basket)] if self._basket else [])])

    def _list(self, basket: Basket) -> Table:
        when = datetime.fromtimestamp(basket.moment, UTC).strftime("%d %B %H:%M")
        hits = len(set(basket.bought) & set(basket.before))
        user = self._dataset.user_ids[self._household]
        caption = f"bought on {when}: {len(basket.bought)}, of these on the list before: {hits}"
        table = Table("", "", "", "", title=f"what household {user} may buy next", caption=caption, show_header=False)
        for rank, item_id in enumerate(basket.after, 1):
            table.add_row(str(rank), basket.arrow(item_id), self._title.get(item_id) or item_id, basket.mark(item_id))
        return table


def _busiest(dataset: Dataset, rows: tuple[int, int]) -> int:
    """Code of the user with the most baskets in rows [start, stop)."""
    part = slice(*rows)
    baskets = np.unique(np.stack([dataset.user[part], dataset.timestamp[part]]), axis=1)[0]
    return int(np.bincount(baskets.astype(np.int64)).argmax())
