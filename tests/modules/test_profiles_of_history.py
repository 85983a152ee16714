"""Profiles of the history: who is described by what at which moment, and what training and evaluation make of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.ablations import COMPOSITIONS
from model.cli import _profiles
from model.compare.candidate import Stage
from model.compare.errors import NoProfilesError
from model.compare.lineup import choose
from model.data import PROFILES, DataError, Dataset, MissingDataError, ProfileTable, read_profiles
from model.data.profiles import Made, PastProfile, write_profiles
from model.spec import FACETS, ModelSpec
from model.state import TrainingState
from model.state_scorer import StateScorer
from model.stream import new_state, to_events
from model.text import SENTENCE_DIM, SENTENCE_ENCODER
from model.torch_model import TorchModel
from model.train import train
from model.training.config import TrainingConfig
from model.training.profiles import attach
from model.training.reads import read_and_apply
from model.training.run_folder import RunFolder
from model.training.trainer import Trainer
from tests.modules.streams import random_stream
from tests.modules.test_train import TINY, quiet, two_camps

WIDTH = 6
DATA = random_stream(3, 240, 8, 20)  # timestamps 1000, 1030, ..., 2770
SPEC = ModelSpec(dim=8, time_dim=4, neighbours=4, text_dim=WIDTH, facet_dim=WIDTH, embedder="words")
TEXT = np.random.default_rng(0).normal(size=(20, WIDTH)).astype(np.float32)
MAKER = {"source": "extractive", "model": "none", "prompt": "1", "embedder": "words"}

Rows = list[tuple[int, int]]
"""user, begin"""


def table(rows: Rows, width: int = WIDTH) -> ProfileTable:
    """Row r's facets hold r + 1 everywhere."""
    user, begin = np.array(sorted(rows), dtype=np.int64).reshape(-1, 2).T
    vectors = np.arange(1, len(rows) + 1, dtype=np.float16)[:, None, None] * np.ones((len(FACETS), width), np.float16)
    return ProfileTable(user, begin, vectors, [np.array([r % 20]) for r in range(len(rows))], MAKER)


def many(seed: int = 0) -> ProfileTable:
    """Rows of every user at many moments, at timestamps of events, too."""
    rng = np.random.default_rng(seed)
    found = table(
        [(user, begin) for user in range(8) for begin in sorted(rng.choice(np.arange(1000, 2800, 15), 9, False))]
    )
    return replace(found, vectors=rng.normal(size=found.vectors.shape).astype(np.float16))


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), unique=True, max_size=12),
    asked=st.lists(st.tuples(st.integers(0, 4), st.integers(-2, 15)), min_size=1, max_size=6),
)
def test_a_user_is_described_by_the_newest_of_their_own_rows_that_has_begun(rows: Rows, asked: Rows) -> None:
    ordered = sorted(rows)
    users, at = np.array(asked, dtype=np.int64).T
    found = table(rows).facets(users, at)
    for (user, moment), facets in zip(asked, found, strict=True):
        begun = [row for row, (owner, begin) in enumerate(ordered) if owner == user and begin <= moment]
        assert (facets == (begun[-1] + 1 if begun else 0)).all()


def network(preset: str = "peregrine", gate: float = 0.0) -> Any:
    torch.manual_seed(0)
    built = COMPOSITIONS[preset](SPEC)
    for name, parameter in built.named_parameters():
        if name.endswith("gate"):
            parameter.data.fill_(gate)
    return built


def trained(dataset: Dataset, preset: str = "peregrine") -> Any:
    built = network(preset)
    Trainer(built, dataset, TEXT, TrainingConfig(batch_events=64)).epoch(lambda _: None)
    return built


def test_training_reads_the_profile_of_the_moment() -> None:
    told = replace(DATA, profiles=many())
    memory = TrainingState(new_state(TorchModel(network()), told, TEXT))
    part = to_events(told, SPEC).take(slice(100, 104))
    memory.apply(to_events(told, SPEC).take(slice(0, 100)))
    reads = read_and_apply(memory, part, np.ones(20, dtype=np.bool_))
    users, at = np.unique([part.user, part.timestamp], axis=1)
    assert np.array_equal(reads.facets, told.profiles.facets(users, at))  # type: ignore[union-attr]
    assert np.array_equal(reads.has, reads.facets.any(axis=2))
    assert reads.has.any()


def test_profiles_open_the_gate_and_none_of_them_change_no_weight() -> None:
    without = trained(DATA).state_dict()
    nobody = trained(replace(DATA, profiles=table([]))).state_dict()
    assert all(torch.equal(nobody[name], tensor) for name, tensor in without.items())
    assert not without["facets.gate"].any()
    assert trained(replace(DATA, profiles=many())).state_dict()["facets.gate"].any()


@pytest.mark.parametrize("form", ["plain", "loud", "summed"])
def test_every_form_learns_from_profiles_and_is_served_without(form: str) -> None:
    preset = f"peregrine-{form}-facets"
    gates = {
        name: t for name, t in trained(replace(DATA, profiles=many()), preset).named_parameters() if "gate" in name
    }
    assert any(bool(gate.any()) for gate in gates.values())
    users, at = np.arange(8), np.full(8, 2_000)
    told = new_state(TorchModel(network(preset, 1.0).eval()), replace(DATA, profiles=many()), TEXT)
    alone = new_state(TorchModel(network(preset, 1.0).eval()), DATA, TEXT)
    assert np.isfinite(alone.score(users, at)).all()
    assert not np.allclose(told.score(users, at), alone.score(users, at))


def test_no_profile_that_begins_later_changes_a_score() -> None:
    moment = 1_900
    profiles = many()
    later = profiles.begin > moment
    changed = replace(profiles, vectors=np.where(later[:, None, None], -profiles.vectors, profiles.vectors))
    none = replace(profiles, vectors=np.where(later[:, None, None], profiles.vectors, 0 * profiles.vectors))
    before = DATA.subset(DATA.timestamp < moment)
    scores = []
    for each in (profiles, changed, none):
        model = TorchModel(network("peregrine-summed-facets", 1.0).eval())
        scorer = StateScorer(new_state(model, replace(DATA, profiles=each), TEXT))
        scorer.apply(before)
        scores.append(scorer.score(np.arange(8), np.full(8, moment)))
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def written(path: Path, embedder: str = "words") -> Path:
    """u-0's profile twice, of one facet and of all; somebody's who is not in the data."""
    one = np.zeros((4, WIDTH), np.float32)
    one[1] = 0.5
    facets = {"interest": ["tea"]}
    profiles = [
        PastProfile("user-0000", 2_000, dict.fromkeys(FACETS, ("all",)), ("item-0003",), "b", 2 + 0 * one),
        PastProfile("user-0000", 1_500, facets, ("item-0002", "gone"), "a", one),
        PastProfile("nobody", 1_500, facets, (), "c", one),
    ]
    write_profiles(path, profiles, Made(MAKER | {"embedder": embedder}, 600, WIDTH))
    return path


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    found = read_profiles(DATA, written(tmp_path / "profiles.parquet"))
    assert (found.user.tolist(), found.begin.tolist()) == ([0, 0], [1_500, 2_000])
    assert [row.tolist() for row in found.items] == [[2], [3]]
    assert found.vectors[:, :, 0].tolist() == [[0.0, 0.5, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0]]
    assert found.maker == MAKER


def test_a_file_that_is_missing_or_of_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="profile build"):
        read_profiles(DATA, tmp_path / "none.parquet")
    (tmp_path / "other.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(DataError, match=r"other\.parquet"):
        read_profiles(DATA, tmp_path / "other.parquet")


def test_vectors_of_another_embedder_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "profiles.parquet", embedder="others")
    with pytest.raises(DataError, match="others"):
        attach(DATA, str(path), "made", SPEC, TEXT)


def test_shuffled_profiles_are_those_of_others_in_the_same_period(tmp_path: Path) -> None:
    rows = [(user, begin) for user in range(8) for begin in (1_000, 2_000)]
    profiles = [
        PastProfile(DATA.user_ids[u], b, {"brand": ["x"]}, (), "", np.full((4, WIDTH), u + b / 1000, np.float32))
        for u, b in rows
    ]
    path = tmp_path / "profiles.parquet"
    write_profiles(path, profiles, Made(MAKER, 1000, WIDTH))
    made, shuffled = (attach(DATA, str(path), form, SPEC, TEXT).profiles for form in ("made", "shuffled"))  # type: ignore[arg-type]
    assert made is not None
    assert shuffled is not None
    assert np.array_equal(made.begin, shuffled.begin)
    for begin in (1_000, 2_000):
        ours, others = (each.vectors[made.begin == begin, 3, 0] for each in (made, shuffled))
        assert sorted(ours) == sorted(others)
        assert (ours != others).all()


def test_mean_titles_stand_in_one_facet(tmp_path: Path) -> None:
    path = written(tmp_path / "profiles.parquet")
    text = np.random.default_rng(1).normal(size=(20, WIDTH)).astype(np.float32)
    found = attach(DATA, str(path), "titles", SPEC, text).profiles
    assert found is not None
    expected = text[2] / np.linalg.norm(text[2])  # item-0002; the other one is gone
    assert np.allclose(found.vectors[0, 1], expected, atol=1e-3)  # half precision
    assert not found.vectors[:, [0, 2, 3]].any()


def test_a_model_with_profiles_is_not_compared_without_a_file_of_them(tmp_path: Path) -> None:
    [candidate] = choose("peregrine-profiles", False)
    with pytest.raises(NoProfilesError, match="profile build"):
        candidate.train(Stage(DATA, "stream", tmp_path, None, quiet()), 0)


def test_a_run_with_profiles_says_so_and_is_evaluated_with_them(tmp_path: Path) -> None:
    dataset = two_camps(400)
    facets = np.random.default_rng(0).normal(size=(len(dataset.user_ids), 4, SENTENCE_DIM)).astype(np.float32)
    profiles = [
        PastProfile(user_id, 50_000, dict.fromkeys(FACETS, ("x",)), (), "", vectors)
        for user_id, vectors in zip(dataset.user_ids, facets, strict=True)
    ]
    path = tmp_path / "shop" / PROFILES
    path.parent.mkdir()
    write_profiles(path, profiles, Made(MAKER | {"embedder": SENTENCE_ENCODER}, 600, SENTENCE_DIM))
    assert _profiles(None, str(path.parent)) == path
    assert _profiles(None, "complete-journey") is None
    config = replace(TINY, epochs=1, refit=False, profiles=str(path))
    folder = RunFolder(tmp_path / "run")
    folder.start("two-camps", config)
    assert folder.settings()[1] == config
    model = train(dataset, config, folder, quiet())
    assert model.spec.profiles == "extractive"
    assert bool(model.network.facets.gate.any())
    text = np.zeros((dataset.n_items, SENTENCE_DIM), np.float32)
    told = attach(dataset, str(path), "made", model.spec, text)
    users, at = np.arange(dataset.n_users), np.full(dataset.n_users, 300_000)
    scores = [new_state(model, each, text).score(users, at) for each in (dataset, told)]
    assert not np.array_equal(*scores)
