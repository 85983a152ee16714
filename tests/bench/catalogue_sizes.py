"""Cost of a list against the size of the catalogue: `peregrine bench recommend` at each size, and a plot.

    python -m tests.bench.catalogue_sizes OUT [SECONDS] [ITEMS ...]

OUT/sizes.ndjson keeps a line for each size; those that are there are not measured again. OUT/sizes.png is the plot.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

SIZES = (1_000, 10_000, 100_000, 1_000_000, 3_000_000)


def measure(items: int, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "service.cli", "bench", "recommend", "--items", str(items), "--json"]
    done = subprocess.run([*command, "--seconds", str(seconds)], check=True, stdout=subprocess.PIPE, text=True)
    return {"items": items, **json.loads(done.stdout.splitlines()[-1])}


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (times, rates) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    items = [row["items"] for row in rows]
    for name in ("p50_ms", "p99_ms"):
        times.plot(items, [row[name] for row in rows], marker="o", label=name.removesuffix("_ms"))
    for name, label in {"bare_p50_ms": "bare FastAPI, p50", "bare_p99_ms": "bare FastAPI, p99"}.items():
        times.plot(items, [row.get(name, math.nan) for row in rows], color="grey", linewidth=0.8, label=label)
    for stage in ("state", "embed", "search", "rules", "serialise"):
        values = [row["stages_ms"].get(stage, 0.0) for row in rows]
        times.plot(items, values, marker=".", linewidth=0.8, linestyle="--", label=stage)
    for name, label in {"capacity_rps": "single lists", "batch_rps": "in batches of 1,000"}.items():
        rates.plot(items, [row[name] for row in rows], marker="o", label=label)
    times.set(
        xscale="log", yscale="log", xlabel="items", ylabel="ms", title="a list, 150 a second, 500 events a second"
    )
    rates.set(xscale="log", yscale="log", xlabel="items", ylabel="lists a second", title="one API process")
    for axes in (times, rates):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def main(out: Path, seconds: float, sizes: tuple[int, ...]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "sizes.ndjson"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    for items in sizes:
        if items not in {row["items"] for row in rows}:
            rows.append(measure(items, seconds))
            kept.write_text("".join(json.dumps(row) + "\n" for row in rows))
        plot(sorted(rows, key=lambda row: row["items"]), out / "sizes.png")


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        float(sys.argv[2]) if len(sys.argv) > 2 else 60.0,
        tuple(int(size) for size in sys.argv[3:]) or SIZES,
    )
