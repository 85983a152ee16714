"""summary.md, one page: who leads where, by how much, and whether that could be chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from model.bootstrap import Comparison
from model.compare.report import Standing
from model.compare.table import figure, lines
from model.compare.versus import MEASURES, best_baseline, compare, leader, subject


def summary(found: Sequence[Standing], title: str) -> str:
    """The page; intervals are 95 % of a paired bootstrap over users, hits averaged over seeds first."""
    mine = subject(found)
    parts = [f"# {title}: who leads", "", *_leads(found, mine), ""]
    if len(found) > 1:
        parts += [f"## {mine.name} against each other model", "", *_versus(found, mine), ""]
        parts += [
            f"Each cell: by how much {mine.name} is better, relative to the other, with the 95 % interval of a paired "
            "bootstrap over users and its two-sided p; the hits of the seeds are averaged before.",
            "",
        ]
    return "\n".join(parts)


def _leads(found: Sequence[Standing], mine: Standing) -> Iterator[str]:
    for task, metric in MEASURES:
        first = leader(found, task, metric)
        text = f"- **{task}, {metric}**: {first.name} leads with {figure(first.mean(task, 'all', metric))}."
        if first is not mine:
            text += f" {mine.name} has {figure(mine.mean(task, 'all', metric))}."
        rival = best_baseline(found, task)
        if rival is not None and (result := compare(mine, rival, task, metric)) is not None:
            text += (
                f" Against {rival.name}, the best baseline of {task} as chosen on validation "
                f"({figure(result.other_mean)}), {mine.name} is {percent(result)}."
            )
        yield text


def _versus(found: Sequence[Standing], mine: Standing) -> list[str]:
    rows = []
    for other in found:
        if other is not mine:
            results = [compare(mine, other, task, metric) for task, metric in MEASURES]
            rows.append([other.name, *("" if result is None else percent(result) for result in results)])
    return lines(["model", *(f"{task} {metric}" for task, metric in MEASURES)], rows)


def percent(result: Comparison) -> str:
    """+12.3 % [+10.1, +14.6], p 0.001"""
    gains = (result.gain, result.gain_low, result.gain_high)
    mean, low, high = (f"{100 * gain:+.1f}" for gain in gains)
    return f"{mean} % [{low}, {high}], p {result.p:.3f}"
