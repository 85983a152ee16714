"""`peregrine compare`: what is chosen, what is kept, what is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from model.baselines import Popularity
from model.baselines.baseline import Entry, Job, Round
from model.cli import app
from model.compare import lineup
from model.compare.searched import Searched
from model.data import Dataset, load, prepare, split
from model.evaluate import evaluate, warm
from model.metrics import load_judged
from tests.modules.streams import random_stream

CHEAP = "popularity,own-frequency,item-knn"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "shop"
    folder.mkdir()
    made = random_stream(0, 1_000, 12, 40)
    rows = zip(made.user, made.item, made.timestamp, strict=True)
    lines = [f"{made.user_ids[user]},{made.item_ids[item]},{timestamp}" for user, item, timestamp in rows]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")
    return folder


def run(data: Path, out: Path, *arguments: object) -> Result:
    """With one setting of each search and one seed, unless `arguments` say otherwise."""
    fixed = ["compare", "--data", str(data), "--out", str(out), "--budget", "0", "--seeds", "1"]
    return CliRunner().invoke(app, [*fixed, *map(str, arguments)])


def test_results_are_a_flat_list_with_every_model_task_stratum_and_metric(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path, "--models", CHEAP, "--seeds", 2, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["models"] == ["popularity", "own-frequency", "item-knn", "item-knn-frozen"]
    rows = json.loads((tmp_path / "results.json").read_bytes())
    assert {frozenset(row) for row in rows} == {frozenset(("model", "seed", "task", "stratum", "metric", "value"))}
    keys = [tuple(row.values())[:-1] for row in rows]
    assert len(set(keys)) == len(keys)
    assert {row["seed"] for row in rows} == {0}  # none of them knows chance
    assert {row["task"] for row in rows} == {"next", "discover"}
    assert {"all", "repeat", "new", "user:6+"} <= {row["stratum"] for row in rows}
    wanted = {f"{name}@{k}" for name in ("recall", "ndcg", "macro_recall") for k in (10, 20, 30)}
    assert wanted | {"mrr", "coverage@20", "popularity_bias", "n", "unavailable"} <= {row["metric"] for row in rows}


def test_a_row_is_what_the_evaluator_says_and_the_kept_ranks_too(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, "--models", "popularity", "--every", 2)
    dataset = prepare(load(str(data)))
    part = split(dataset).test
    scorer = Popularity(dataset.n_items)
    warm(scorer, dataset, 0, part.start)
    expected = evaluate(scorer, dataset, part.start, part.stop, every=2)
    rows = json.loads((tmp_path / "results.json").read_bytes())
    told = {(row["task"], row["stratum"], row["metric"]): row["value"] for row in rows}
    report = expected.report()
    assert told == {(t, s, m): v for t, strata in report.items() for s, f in strata.items() for m, v in f.items()}
    kept = load_judged(tmp_path / "runs" / "popularity" / "live-0.npz")
    np.testing.assert_array_equal(kept["next"].rank, expected.metrics.ranks("next"))


def test_a_finished_run_is_not_done_again_and_a_new_one_joins_it(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, "--models", "popularity")
    first = (tmp_path / "runs" / "popularity" / "result-0.json").stat().st_mtime_ns
    done = run(data, tmp_path, "--models", "popularity,own-frequency", "--json")
    assert (tmp_path / "runs" / "popularity" / "result-0.json").stat().st_mtime_ns == first
    assert json.loads(done.stdout)["models"] == ["popularity", "own-frequency"]
    assert "popularity, seed" not in done.stderr


def test_the_report_has_tables_summary_plots_and_says_how_it_was_measured(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path, "--models", CHEAP, "--budget", 5)
    assert done.stdout.strip() == (tmp_path / "summary.md").read_text().strip()
    table = (tmp_path / "table.md").read_text()
    for said in ("looks ahead", "Candidates:", "Regime:", "Machine:", "to 5 processor minutes", "--seeds 1 --budget 5"):
        assert said in table
    assert "best baseline of next as chosen on validation" in done.stdout
    for name in ("recall", "training-time", "list-time", "learning"):
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_unknown_models_are_refused_and_the_known_ones_listed(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path, "--models", "popularity,magic")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no model is called magic; known are popularity, popularity-7d" in done.stderr


def test_a_report_folder_of_other_data_is_refused(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, "--models", "popularity")
    done = run(data, tmp_path, "--models", "popularity", "--every", 5)
    assert done.exit_code == 1
    assert "choose another --out" in done.stderr


def _broken(_events: Dataset, _job: Job, /) -> Iterator[Round]:
    raise RuntimeError("the matrix is singular")
    yield


def test_a_model_that_fails_is_told_and_the_others_go_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"broken": Searched(Entry("broken", _broken, ({},)))}
    monkeypatch.setattr(lineup, "LINEUP", broken | dict(lineup.LINEUP))
    done = run(data, tmp_path, "--models", "broken,popularity", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["models"] == ["popularity"]
    assert "broken, seed 0: RuntimeError('the matrix is singular')" in done.stderr
    assert "singular" in (tmp_path / "runs" / "broken" / "error-0.txt").read_text()
    assert "Failed and not in these figures: broken (seed 0)." in (tmp_path / "table.md").read_text()
