"""Who leads, from runs written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from model.compare.files import write_json
from model.compare.report import Standing, standings
from model.compare.run import FROZEN, LIVE, Run
from model.compare.summary import percent, summary
from model.compare.table import figure, lines, table
from model.compare.versus import best_baseline, compare, leader, subject
from model.metrics import UNAVAILABLE, Judged, Metrics, save_judged

EVENTS = 200
TASKS = ("next", "discover")


def finished(
    out: Path, name: str, hit: float, validation: Mapping[str, float], seed: int = 0, first_row: int = 0
) -> None:
    """A run whose first `hit` of all events are at rank 1, the others unavailable; its frozen regime has no hit."""
    run = Run(out / "runs" / name, name, seed)
    run.folder.mkdir(parents=True, exist_ok=True)
    reports = {}
    for regime, share in ((LIVE, hit), (FROZEN, 0.0)):
        metrics = Metrics(np.full(3, 0.5))
        rows = np.arange(EVENTS)
        for task in TASKS:
            rank = np.where(rows < share * EVENTS, 1.0, UNAVAILABLE)
            repeat = {"repeat": rows % 2 == 0}
            metrics.add(task, Judged(rows + first_row, rows % 50, rank, np.zeros((EVENTS, 1), np.int32), repeat))
        save_judged(metrics, run.judged(regime))
        reports[regime] = metrics.report()
    costs = {"rounds": 1, "train_seconds": 1.0, "milliseconds_per_list": 1.0, "curve": []}
    trial = {"setting": {"k": 1}, "figure": 0.1, "rounds": 1, "seconds": 2.0}
    known = {"model": name, "seed": seed, "regimes": reports, "validation": dict(validation)}
    write_json(run.path, known | costs | {"setting": {"k": 1}, "trials": [trial]})


@pytest.fixture
def found(tmp_path: Path) -> list[Standing]:
    finished(tmp_path, "lucky", 0.6, {"next": 0.1, "discover": 0.3})  # best on test, not on validation
    finished(tmp_path, "steady", 0.4, {"next": 0.3, "discover": 0.1})
    finished(tmp_path, "peregrine", 0.4, {"next": 0.2, "discover": 0.2})
    finished(tmp_path, "peregrine", 0.6, {"next": 0.2, "discover": 0.2}, seed=1)
    finished(tmp_path, "peregrine-no-memory", 0.5, {"next": 0.9, "discover": 0.9})
    return standings(tmp_path, ["lucky", "absent", "steady", "peregrine", "peregrine-no-memory"], 3)


def test_standings_are_the_finished_runs_in_the_order_of_the_names(found: list[Standing]) -> None:
    names = ["lucky", "steady", "peregrine", "peregrine-no-memory"]
    assert [standing.name for standing in found] == [shown for name in names for shown in (name, f"{name}-frozen")]
    assert [len(standing.runs) for standing in found] == [1, 1, 1, 1, 2, 2, 1, 1]


def test_the_best_baseline_of_a_task_is_chosen_on_validation_and_is_neither_ours_nor_frozen(
    found: list[Standing],
) -> None:
    assert subject(found).name == "peregrine"
    chosen = [best_baseline(found, task) for task in TASKS]
    assert [standing.name for standing in chosen if standing] == ["steady", "lucky"]


def test_the_leader_is_the_best_mean_over_seeds_on_test(found: list[Standing]) -> None:
    assert leader(found, "next", "recall@20").name == "lucky"
    mine = subject(found)
    assert mine.mean("next", "all", "recall@20") == pytest.approx(0.5)
    assert mine.values("next", "all", "recall@20") == pytest.approx([0.4, 0.6])
    assert np.isnan(mine.mean("next", "user:0", "recall@20"))


def test_a_comparison_averages_seeds_before_it_is_paired(found: list[Standing]) -> None:
    by_name = {standing.name: standing for standing in found}
    result = compare(by_name["peregrine"], by_name["steady"], "next", "recall@20")
    assert result is not None
    assert (result.mean, result.other_mean) == pytest.approx((0.5, 0.4))
    assert result.gain == pytest.approx(0.25)
    assert percent(result).startswith("+25.0 % [+")


def test_runs_on_different_events_are_not_compared(found: list[Standing], tmp_path: Path) -> None:
    finished(tmp_path, "elsewhere", 0.5, {"next": 0.1}, first_row=7)
    (elsewhere, _) = standings(tmp_path, ["elsewhere"], 1)
    with pytest.raises(ValueError, match="peregrine and elsewhere were scored on different events of next"):
        compare(subject(found), elsewhere, "next", "recall@20")


def test_without_our_model_the_best_on_validation_is_the_subject(found: list[Standing]) -> None:
    others = [standing for standing in found if standing.model in ("lucky", "steady")]
    mine = subject(others)
    rival = best_baseline(others, "next")
    assert rival is not None
    assert {mine.name, rival.name} == {"lucky", "steady"}


def test_the_summary_names_leader_rival_interval_and_p(found: list[Standing]) -> None:
    page = summary(found, "shop")
    assert (
        "- **next, recall@20**: lucky leads with .6000. peregrine has .5000. Against steady, the best baseline" in page
    )
    assert "p 0." in page
    assert "| lucky | -16.7 % [" in page


def test_the_table_has_the_best_in_bold_and_deviations_over_seeds(found: list[Standing]) -> None:
    page = table(found, "shop", ["said"])
    assert "# shop" in page
    assert "- said" in page
    assert "| lucky | 1 | **.6000** | **.6000** |" in page
    assert "| peregrine | 2 | .5000 | .5000 ± .1414 |" in page
    assert "user:0" not in page  # nothing of it was scored


def test_figures_and_lines_are_those_of_markdown() -> None:
    assert [figure(value) for value in (0.12345, 1.0, 0.0, float("nan"))] == [".1235", "1.0000", ".0000", ""]
    assert lines(["a", "b"], [["x", "1"]]) == ["| a | b |", "| --- | ---: |", "| x | 1 |"]
