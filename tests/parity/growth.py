"""How far the service's state drifts from training's on the same events: the comparison, and its plot.

    python -m tests.parity.growth docs/parity.png

Each checkpoint posts the next events over HTTP, in an order of its own inside every timestamp, reads the state back
from Valkey and lays it beside the one that training makes in dense arrays from the same weights in torch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from model.data import Dataset, load, prepare
from model.process.records import UNSET_ITEM, Records
from model.process.state import State
from model.state import TrainingState
from model.stream import item_texts, new_state, to_events
from model.training.batches import steps
from model.weights import load_model
from service.commands import datasets
from service.commands.bundles import shipped
from service.commands.posting import Account
from service.commands.snapshot import read_state
from service.processes.all_in_one import Stack
from service.settings import load_settings
from service.wiring import build_worker

FLOATS = ("m", "sum", "x", "log_gap_sum", "popularity", "repeat_log_gap_sum")


@dataclass(frozen=True)
class Checkpoint:
    """events: applied so far; served, trained: both states, items in the data set's order."""

    events: int
    served: State
    trained: State

    def largest_difference(self) -> float:
        """Of all memory entries of users and items, absolute."""
        pairs = ((self.served.users, self.trained.users), (self.served.items, self.trained.items))
        return max(float(np.abs(ours["m"] - theirs["m"]).max()) for ours, theirs in pairs)


def purchases(events: int, households: int = 60) -> Dataset:
    """Real baskets: the first `events` (to the end of a timestamp) of some households of the Complete Journey."""
    whole = prepare(load(f"complete-journey:{households}"))
    stop = int(np.searchsorted(whole.timestamp, whole.timestamp[events - 1], side="right"))
    return whole.subset(slice(0, stop))


def checkpoints(stack: Stack, dataset: Dataset, every: int, seed: int = 0) -> Iterator[Checkpoint]:
    """Feeds both sides `every` events at a time."""
    model = load_model(shipped())
    spec = model.spec
    memory = TrainingState(new_state(model, dataset, item_texts(dataset, spec.embedder, spec.text_dim)))
    order = _shuffled_inside_timestamps(dataset, seed)
    documents = datasets.events(dataset)
    with stack.client() as client:
        account = Account(client)
        for batch in datasets.batches(datasets.items(dataset)):
            account.put_items(batch)
        bounds = _bounds(dataset, every)
        for start, stop in pairwise(bounds):
            for batch in datasets.batches([documents[row] for row in order[start:stop]]):
                account.post(batch)
            part = dataset.subset(slice(start, stop))
            for rows in steps(part, 1_024):
                memory.apply(to_events(part.subset(rows), spec, start + rows.start + 1))
            account.wait_until_applied()
            yield Checkpoint(stop, _served(stack, dataset), memory.state)


def _bounds(dataset: Dataset, every: int) -> list[int]:
    """Row bounds about `every` rows apart that divide no timestamp."""
    wanted = [*range(every, len(dataset), every), len(dataset)]
    ends = np.searchsorted(dataset.timestamp, dataset.timestamp[np.array(wanted) - 1], side="right")
    return [0, *np.unique(ends).tolist()]


def _shuffled_inside_timestamps(dataset: Dataset, seed: int) -> list[int]:
    noise = np.random.default_rng(seed).random(len(dataset))
    rows: list[int] = np.lexsort((noise, dataset.timestamp)).tolist()
    return rows


def _served(stack: Stack, dataset: Dataset) -> State:
    """The service's state with its items renumbered as the data set numbers them."""
    services = build_worker(stack.settings)
    state, item_ids = read_state(services.store, services.bundle.model, dataset.user_ids)
    services.store.close()
    services.source.close()
    code = {item_id: at for at, item_id in enumerate(dataset.item_ids)}
    codes = np.array([code[item_id] for item_id in item_ids])
    items = state.items.copy()
    items[codes] = state.items
    state.items = items
    slots = state.users["nb_item"]
    state.users["nb_item"] = np.where(slots == UNSET_ITEM, UNSET_ITEM, codes[np.where(slots == UNSET_ITEM, 0, slots)])
    state.pairs = [_renumbered(pairs, codes) for pairs in state.pairs]
    return state


def _renumbered(pairs: Records, codes: np.ndarray) -> Records:
    pairs = pairs.copy()
    pairs["item"] = codes[pairs["item"]]
    return pairs[np.argsort(pairs["item"])]


def plot(path: Path) -> None:
    """Draws the largest difference of any memory entry over 20,000 events."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    dataset = purchases(20_000, households=120)
    with TemporaryDirectory() as folder:
        settings = load_settings(data_dir=Path(folder), bundle=shipped(), clock="event", port=0, log_level="error")
        with Stack(settings) as stack:
            points = [(c.events, c.largest_difference()) for c in checkpoints(stack, dataset, 1_000)]
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    axes.semilogy(*zip(*points, strict=True), marker="o")
    axes.axhline(1e-5, linestyle="--", color="grey", label="tolerance of the test (absolute part)")
    axes.set(
        xlabel="events over HTTP",
        ylabel="largest difference of a memory entry",
        title="Service (ONNX, Valkey) against training (torch, dense arrays)",
    )
    axes.legend()
    figure.savefig(path, dpi=120)
    print("\n".join(f"{events:>7,} {difference:.2e}" for events, difference in points))  # noqa: T201 - a script


if __name__ == "__main__":
    plot(Path(sys.argv[1]))
