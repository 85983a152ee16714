"""`peregrine profile build`: what was known at the time, asked about once, and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from model.data import load, read_profiles
from model.spec import DAY, FACETS
from service.cli import app
from service.commands.profile_plan import Moment, PastHistories, plan
from service.profile_path import Limits, Rules
from tests.profiles.endpoint import FakeEndpoint, Fault
from tests.profiles.world import shop

START = 1_700_000_000
WEEK = 7 * DAY
ITEMS = {"shoe": ("Trail running shoe", "shoes", "Kestrel"), "vest": ("Trail running vest", "apparel", "Kestrel"),
         "tea": ("Green tea", "food", "")}  # fmt: skip
ROWS = [
    ("ann", "shoe", 0), ("ann", "vest", 1), ("ann", "tea", 2), ("bob", "tea", 0), ("bob", "shoe", DAY),
    ("ann", "tea", WEEK), ("ann", "tea", WEEK + 9), ("bob", "vest", 2 * WEEK), ("ann", "shoe", 3 * WEEK),
    ("ann", "shoe", 3 * WEEK + 5), ("ann", "vest", 3 * WEEK + 6), ("bob", "vest", 5 * WEEK),
]  # fmt: skip


def folder(path: Path, rows: list[tuple[str, str, int]] = ROWS) -> Path:
    path.mkdir(exist_ok=True)
    user, item, at = zip(*rows, strict=True)
    pq.write_table(
        pa.table({"user_id": user, "item_id": item, "timestamp": START + np.array(at)}), path / "interactions.parquet"
    )
    title, category, brand = zip(*ITEMS.values(), strict=True)
    pq.write_table(
        pa.table({"item_id": list(ITEMS), "title": title, "category": category, "brand": brand}), path / "items.parquet"
    )
    return path


def test_a_profile_is_due_after_enough_events_and_at_the_begin_of_a_period(tmp_path: Path) -> None:
    dataset = load(str(folder(tmp_path / "shop")))
    found = plan(dataset, Rules(min_events=3, new_events=2), WEEK)
    names = [(dataset.user_ids[m.user], m.begin, m.events) for m in found]
    week = START // WEEK + 1  # the first to begin after the first event
    assert names == [
        ("ann", week * WEEK, 3),
        ("ann", (week + 1) * WEEK, 5),
        ("bob", (week + 2) * WEEK, 3),
        ("ann", (week + 3) * WEEK, 8),
    ]


def test_what_comes_later_changes_nothing_of_before(tmp_path: Path) -> None:
    whole = load(str(folder(tmp_path / "shop")))
    rules, limits = Rules(min_events=1, new_events=1), Limits()
    for moment in plan(whole, rules, WEEK):
        earlier = [row for row in ROWS if START + row[2] < moment.begin]
        cut = load(str(folder(tmp_path / f"until-{moment.begin}", earlier)))
        [again] = [
            m
            for m in plan(cut, rules, WEEK)
            if (cut.user_ids[m.user], m.begin) == (whole.user_ids[moment.user], moment.begin)
        ]
        assert PastHistories(cut, limits).of(again) == PastHistories(whole, limits).of(moment)


@pytest.mark.anyio
async def test_a_past_history_is_the_one_that_the_profiler_was_told(tmp_path: Path) -> None:
    """From the state at that time, and from the data set looking back."""
    place = shop()
    dataset = load(str(folder(tmp_path / "shop")))
    ann = [row for row in ROWS if row[0] == "ann"]
    place.world.post([(user, item, START + at) for user, item, at in ann])
    await place.work()
    [told] = place.profiler.asked
    past = PastHistories(dataset, Limits()).of(Moment(dataset.user_ids.index("ann"), START + 4 * WEEK, len(ann)))
    kinds = {item.type for item in past.items}
    assert kinds == {"event"}  # the file names no type
    same = ("item_id", "title", "category", "brand", "count", "age")
    assert [[getattr(i, n) for n in same] for i in past.items] == [[getattr(i, n) for n in same] for i in told.items]


def build(data: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeEndpoint, *more: str, given: str | None = None) -> Any:
    environment = {
        "CHAT_URL": fake.url, "CHAT_MODEL": "small", "EMBED_URL": fake.url, "EMBED_MODEL": "words",
        "PROFILE_NEW_EVENTS": "2", "PROFILE_NEARNESS": "0",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(f"PEREGRINE_{name}", value)
    return CliRunner().invoke(app, ["profile", "build", "--data", str(data), "--json", *more], input=given)


def test_nobody_is_asked_before_the_cost_is_known_and_agreed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeEndpoint() as fake:
        refused = build(folder(tmp_path / "shop"), monkeypatch, fake, given="n\n")
        assert refused.exit_code == 1
        assert not fake.asked
        done = build(tmp_path / "shop", monkeypatch, fake, given="y\n")
        report = json.loads(done.stdout.splitlines()[-1])
        spent = sum(len(json.dumps(body["messages"])) // 4 for body in fake.asked)
    assert report["calls"] == len(fake.asked) == report["profiles"] == 4
    assert 0.8 * spent < report["prompt_tokens"] < 1.2 * spent
    assert report["tokens_at_most"] == report["prompt_tokens"] + 4 * 500


def test_what_was_answered_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder(tmp_path / "shop")
    answers = data / "profiles.answers.ndjson"
    with FakeEndpoint() as fake:
        assert build(data, monkeypatch, fake, "--yes").exit_code == 0
        first = (data / "profiles.parquet").read_bytes()
        assert build(data, monkeypatch, fake, "--yes").exit_code == 0
        assert len(fake.asked) == 4
        assert (data / "profiles.parquet").read_bytes() == first
        whole = answers.read_bytes()
        answers.write_bytes(whole[:-20])  # killed while a line was written
        assert build(data, monkeypatch, fake, "--yes").exit_code == 0
        assert len(fake.asked) == 5
        assert sorted(answers.read_bytes().splitlines()) == sorted(whole.splitlines())
        assert (data / "profiles.parquet").read_bytes() == first


def test_an_endpoint_that_wants_money_ends_the_build_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = folder(tmp_path / "shop")
    monkeypatch.setenv("PEREGRINE_CHAT_CONCURRENCY", "1")
    with FakeEndpoint() as fake:
        fake.faults += [Fault(), Fault(), Fault(402)]
        stopped = build(data, monkeypatch, fake, "--yes")
        assert stopped.exit_code == 1
        assert "wants money" in stopped.stderr
        assert not (data / "profiles.parquet").exists()
        assert build(data, monkeypatch, fake, "--yes").exit_code == 0
        assert len(fake.asked) == 4
        bounded = build(folder(tmp_path / "other"), monkeypatch, fake, "--yes", "--most-tokens", "10")
        assert bounded.exit_code == 1
        assert "do not last" in bounded.stderr


def test_what_is_built_is_read_with_the_words_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder(tmp_path / "shop")
    with FakeEndpoint() as fake:
        build(data, monkeypatch, fake, "--yes")
        found = read_profiles(load(str(data)), data / "profiles.parquet")
        tea = fake.embedder.embed(["food"])[0]
    assert found.maker == {"source": "chat", "model": "small", "prompt": "1", "embedder": "words"}
    bob = np.array([1])
    assert not found.facets(bob, np.array([START + 2 * WEEK])).any()
    facets = found.facets(bob, np.array([START + 4 * WEEK]))[0]
    kept = pq.read_table(data / "profiles.parquet").to_pylist()[2]
    assert (kept["user_id"], kept["items"], kept["category"]) == (
        "bob",
        ["vest", "shoe", "tea"],
        ["apparel", "shoes", "food"],
    )
    assert facets[FACETS.index("category")] @ tea > 0.3
