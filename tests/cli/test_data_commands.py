"""`import`, `replay`, `recommend` and `bench` against a running service."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from service.client import Client
from service.commands import bench, datasets, reading_back
from service.commands.replay import Pace, parse_speed
from service.errors import ConfigurationError
from tests.cli.running import assert_one_clear_error, peregrine


def imported(folder: Path, url: str, *more: str) -> dict[str, object]:
    done = peregrine("import", "--data", str(folder), "--raw", "--url", url, "--json", *more)
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_import_brings_every_event_and_item_once_even_when_repeated(folder: Path, url: str) -> None:
    first, again = imported(folder, url), imported(folder, url)
    assert (first["accepted"], first["duplicates"], first["rejected"]) == (201, 0, 0)
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 201, 0)
    dataset = datasets.read(str(folder), prepared=False)
    with Client(url) as client:
        assert reading_back.lost(client, reading_back.count(datasets.events(dataset))) == 0
        item = client.get_item(dataset.item_ids[0])
    assert item["title"].startswith("Product ")
    assert item["available_from"] is None


def test_import_ends_where_it_is_told(folder: Path, url: str) -> None:
    assert imported(folder, url, "--until", "0.505")["events"] == 104  # the timestamp of event 101 is not divided
    assert imported(folder, url, "--before", "1030")["events"] == 4


def test_replay_counts_both_tasks_of_the_part_asked_for(folder: Path, url: str) -> None:
    imported(folder, url, "--until", "0.85")
    arguments = ("replay", "--data", str(folder), "--raw", "--url", url, "--json", "--every", "1")
    done = peregrine(*arguments, "--to", "0.95")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["start"], report["stop"], report["every"], report["clock"]) == (172, 192, 1, "event")
    assert report["metrics"]["next"]["all"]["n"] == 20
    assert set(report["metrics"]) <= {"next", "discover"}
    assert report["events_per_second"] > 0


def test_recommend_shows_titles(folder: Path, url: str) -> None:
    imported(folder, url)
    user = datasets.read(str(folder), prepared=False).user_ids[0]
    table = peregrine("recommend", user, "-k", "5", "--url", url)
    assert table.returncode == 0
    assert table.stdout.count("Product ") == 5
    answer = json.loads(peregrine("recommend", user, "-k", "5", "--url", url, "--json").stdout)
    assert [entry["rank"] for entry in answer["items"]] == [1, 2, 3, 4, 5]


def test_a_user_is_exported_and_erased(folder: Path, url: str) -> None:
    imported(folder, url)
    user = datasets.read(str(folder), prepared=False).user_ids[0]
    lines = [json.loads(line) for line in peregrine("export-user", user, "--url", url).stdout.splitlines()]
    assert lines[0]["user_id"] == user
    assert lines[-1]["record"] == "end"
    assert lines[-1]["events"] == len([line for line in lines if line["record"] == "event"]) > 0
    erased = peregrine("erase", user, "--url", url)
    assert erased.returncode == 0
    assert re.fullmatch(r"erasure [0-9a-f-]{36}: pending\n", erased.stdout)
    assert "until the next rebuild" in erased.stderr
    again = json.loads(peregrine("erase", user, "--url", url, "--json").stdout)
    assert again["status"] == "pending"
    assert [
        json.loads(line)["record"] for line in peregrine("export-user", user, "--url", url).stdout.splitlines()
    ] == ["end"]


def test_refused_events_are_counted_and_the_rest_is_in(folder: Path, url: str) -> None:
    path = folder / "interactions.ndjson"
    bad = json.dumps({"user_id": "x" * 300, "item_id": "i", "timestamp": 1_000})
    path.write_text(path.read_text() + "\n" + bad)
    done = peregrine("import", "--data", str(folder), "--raw", "--url", url, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["accepted"] == 201
    assert "1 entries were refused" in done.stderr
    assert "user_id" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--until", "1.5"), "between 0 and 1"),
        (("--until", "0.5", "--before", "7"), "--before"),
    ],
)
def test_import_refuses_an_end_that_is_none(folder: Path, url: str, arguments: tuple[str, ...], told: str) -> None:
    assert_one_clear_error(peregrine("import", "--data", str(folder), "--raw", "--url", url, *arguments), told)


def test_data_that_cannot_be_read_is_named(folder: Path, url: str) -> None:
    (folder / "interactions.ndjson").write_text('{"user_id": "u", "item_id": "i", "timestamp": "yesterday"}')
    done = peregrine("import", "--data", str(folder), "--url", url)
    assert_one_clear_error(done, "line 1", "timestamp", "yesterday")


@pytest.mark.parametrize("speed", ["0", "-1", "slow", "nan", "inf"])
def test_a_speed_that_is_none_is_refused(speed: str) -> None:
    with pytest.raises(ConfigurationError, match="--speed"):
        parse_speed(speed)


def test_the_pace_follows_the_data_s_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("service.commands.replay.time.monotonic", lambda: 50.0)
    monkeypatch.setattr("service.commands.replay.time.sleep", waited.append)
    pace = Pace(parse_speed("60"))
    for timestamp in (1_000, 1_060, 1_600):
        pace.wait_for(timestamp)
    assert waited == [0.0, 1.0, 10.0]


def test_bench_freshness_measures_every_event(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "ITEMS", 300)
    monkeypatch.setattr(bench, "USERS", 20)
    bench.run(rate=40, seconds=1.5, url=url, as_json=True)
    report = json.loads(capsys.readouterr().out.splitlines()[-1])  # the service beside it logs there, too
    assert (report["events"], report["failed"], report["unseen"], report["lost"]) == (60, 0, 0, 0)
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    assert report["p50_ms"] < report["post_p50_ms"]
    assert report["tick_closings"] >= 0


def test_event_ids_tell_equal_rows_apart_and_stay_the_same_in_any_part(folder: Path) -> None:
    dataset = datasets.read(str(folder), prepared=False)
    whole = [event["event_id"] for event in datasets.events(dataset)]
    assert len(set(whole)) == len(dataset) == 201
    cut = datasets.row_at(dataset, 0.5)
    assert whole == [event["event_id"] for part in ((0, cut), (cut, None)) for event in datasets.events(dataset, *part)]


def test_reading_back_counts_what_is_missing_and_what_is_too_much(folder: Path, url: str) -> None:
    imported(folder, url)
    events = datasets.events(datasets.read(str(folder), prepared=False))
    extra = {**events[0], "item_id": "never posted"}
    with Client(url) as client:
        assert reading_back.lost(client, reading_back.count([*events, extra])) == 1
        assert reading_back.lost(client, reading_back.count(events[1:])) == 1
        assert reading_back.lost(client, reading_back.count(events[1:]), reading_back.count(events[:1])) == 0
        assert reading_back.lost(client, reading_back.count([{**extra, "user_id": "nobody"}])) == 1
