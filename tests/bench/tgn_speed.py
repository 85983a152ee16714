"""Training speed of `tgn` and `peregrine` beside torch-geometric's TGN example, on one stream, one after the other:

    python -m tests.bench.tgn_speed [--data complete-journey:100] [--events 20000]

Same widths, neighbours, batch, number of negatives and threads, no dropout, nodes known by memory alone, as there;
`tgn_features` is the preset as it is compared, with learned ids and texts; `peregrine` is the default with as many
drawn items as the others have negatives, `peregrine_softmax` with its softmax over all items, both without texts.
JSON on stdout, events a second. All take batches of the same size; the first ones, which warm up, are not timed.
`--cpu` counts the process's own seconds, for a machine that does other things.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from model.data import Dataset, load, prepare
from model.family.batches import Batch
from model.family.presets import FamilySetting, tgn
from model.family.stream import Stream
from model.family.training import Training
from model.presets import peregrine
from model.spec import ModelSpec
from model.training.config import TrainingConfig
from model.training.statistics import with_statistics
from model.training.trainer import Trainer
from tests.bench.geometric import ExampleTgn

WARM_UP = 10  # batches


def events_per_second(step: Callable[[Batch], object], whole: Batch, size: int, clock: Callable[[], float]) -> float:
    began, events = 0.0, 0
    for number, first in enumerate(range(0, len(whole), size)):
        if number == WARM_UP:
            began, events = clock(), 0
        batch = whole.take(slice(first, first + size))
        step(batch)
        events += len(batch)
    return events / (clock() - began)


def pipeline_speed(data: Dataset, config: TrainingConfig, clock: Callable[[], float]) -> float:
    """Events a second of an epoch of the default, after its first steps."""
    widths = {"dim": config.dim, "time_dim": config.time_dim, "neighbours": config.neighbours, "text_dim": 1}
    network = peregrine(with_statistics(ModelSpec.model_validate(widths), data))
    done: list[tuple[float, int]] = []
    trainer = Trainer(network, data, np.zeros((data.n_items, 1), dtype=np.float32), config)
    trainer.epoch(lambda result: done.append((clock(), result.events)))
    return sum(events for _, events in done[WARM_UP:]) / (done[-1][0] - done[WARM_UP - 1][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="complete-journey:100")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--time-dim", type=int, default=32)
    parser.add_argument("--neighbours", type=int, default=20)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu", action="store_true")
    asked = parser.parse_args()
    clock = time.process_time if asked.cpu else time.perf_counter
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    data = prepare(load(asked.data))
    data = data.subset(slice(0, asked.events))
    stream, whole = Stream.of(data), Batch.of(data)
    setting = FamilySetting(
        dim=asked.dim,
        time_dim=asked.time_dim,
        neighbours=asked.neighbours,
        batch_events=asked.batch,
        dropout=0.0,
        features=False,
    )
    featured = setting.model_copy(update={"features": True})
    theirs = ExampleTgn(stream.nodes, stream.types, asked.dim, asked.time_dim, asked.neighbours)
    items = torch.from_numpy(np.unique(data.item).astype(np.int64)) + stream.n_users
    steps: dict[str, Callable[[Batch], object]] = {
        "torch_geometric": lambda batch: theirs.step(batch, items),
        "tgn": Training(tgn(setting, stream), setting, stream).step,
        "tgn_features": Training(tgn(featured, stream), featured, stream).step,
    }
    speed = {name: events_per_second(step, whole, asked.batch, clock) for name, step in steps.items()}
    widths = {"dim": asked.dim, "time_dim": asked.time_dim, "neighbours": asked.neighbours}
    softmax = TrainingConfig(**widths, batch_events=asked.batch, least_steps=1)
    drawn = replace(softmax, full_softmax=0, negatives=asked.batch, gradient_items=asked.batch)
    speed |= {
        "peregrine": pipeline_speed(data, drawn, clock),
        "peregrine_softmax": pipeline_speed(data, softmax, clock),
    }
    settings = {name: value for name, value in vars(asked).items() if name != "events"}
    ratio = {f"{name}_ratio": speed[name] / speed["torch_geometric"] for name in ("tgn", "peregrine")}
    print(json.dumps({**settings, "events": len(data), **speed, **ratio}))  # noqa: T201 - a script


if __name__ == "__main__":
    main()
