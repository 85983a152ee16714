"""`peregrine evaluate` on a folder, with weights that were never trained."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from model.baselines import BASELINES
from model.cli import app
from model.data import Dataset, load, prepare, split
from model.evaluate import evaluate, warm
from model.presets import peregrine
from model.spec import ModelSpec
from model.state_scorer import StateScorer
from model.stream import item_texts, new_state
from model.torch_model import TorchModel
from model.weights import load_model, save_weights
from tests.modules.streams import random_stream


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    made = random_stream(0, 1_500, 12, 40)
    rows = zip(made.user, made.item, made.timestamp, strict=True)
    lines = [f"{made.user_ids[user]},{made.item_ids[item]},{timestamp}" for user, item, timestamp in rows]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")
    return folder


def weights(folder: Path, item_ids: list[str], embedder: str | None = None) -> Path:
    torch.manual_seed(0)
    spec = ModelSpec(dim=8, time_dim=4, neighbours=4, text_dim=1, item_tick=300, embedder=embedder)
    folder.mkdir()
    save_weights(TorchModel(peregrine(spec).eval()), folder)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def figures(folder: Path, dataset: Dataset, part: slice, every: int) -> dict[str, object]:
    """What the evaluator says of a folder's weights, without the command."""
    model = load_model(folder)
    scorer = StateScorer(new_state(model, dataset, item_texts(dataset, None, 1)))
    warm(scorer, dataset, 0, part.start)
    return evaluate(scorer, dataset, part.start, part.stop, every=every).to_json()


@pytest.mark.parametrize("part", ["test", "validation"])
def test_the_model_and_the_baselines_are_evaluated_on_the_part_asked_for(data: Path, tmp_path: Path, part: str) -> None:
    dataset = prepare(load(str(data)))
    folder = weights(tmp_path / "run", dataset.item_ids[::2])  # half of the items are unknown to the model
    done = run("--data", data, "--model", folder, "--part", part, "--every", 2, "--baselines", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["part"] == part
    assert list(told["scorers"]) == ["run", *BASELINES]
    rows = split(dataset).test if part == "test" else split(dataset).validation
    assert told["scorers"]["run"] == figures(folder, dataset, rows, every=2)
    numbers = [scorer["metrics"]["next"]["all"]["n"] for scorer in told["scorers"].values()]
    assert numbers == [sum(row % 2 == 0 for row in range(rows.start, rows.stop))] * 5


def test_without_a_model_the_baselines_are_shown_in_a_table(data: Path) -> None:
    done = run("--data", data, "--every", 3)
    assert done.exit_code == 0, done.output
    shown = [line.split()[0] for line in done.stdout.splitlines() if line.strip().startswith(("popul", "own"))]
    assert shown == [*BASELINES, *BASELINES]  # a table for `next`, one for `discover`
    assert "one event in 3 is scored" in done.stdout
    assert "reading" not in done.stdout
    assert "reading" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "/nowhere"], "error: there is no folder /nowhere"),
        (["--model", "/nowhere"], "error: /nowhere is neither a run folder nor a bundle"),
    ],
)
def test_a_wrong_folder_is_one_line_and_exit_code_1(data: Path, arguments: list[str], message: str) -> None:
    done = run("--data", data, *arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert message in done.stderr


def test_texts_of_an_unknown_embedder_are_refused(data: Path, tmp_path: Path) -> None:
    folder = weights(tmp_path / "run", ["a"], embedder="another")
    done = run("--data", data, "--model", folder)
    assert done.exit_code == 1
    assert f"error: {folder}: item texts were embedded with another" in done.stderr
