"""The pure parts of the pages: moves, reasons, metrics, curl."""

from __future__ import annotations

import json
import math
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from service.client import calls
from service.ui.curl import curl
from service.ui.moves import Move, moves
from service.ui.reasons import Part, parts
from service.ui.scrape import Scrape, read

IDS = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


def test_an_item_moves_up_down_or_comes_in() -> None:
    assert moves(["a", "b", "c"], ["c", "a", "x"]) == [Move("up", 2), Move("down", 1), Move("new")]
    assert moves(["a", "b"], ["a", "b"]) == [Move("same"), Move("same")]


def test_nothing_moves_in_a_first_list() -> None:
    assert moves([], ["a", "b"]) == [Move("same"), Move("same")]


@given(IDS, IDS)
def test_undoing_the_moves_gives_the_ranks_before(before: list[str], after: list[str]) -> None:
    for place, (item, move) in enumerate(zip(after, moves(before, after), strict=True)):
        if before and item in before:
            sign = {"up": 1, "down": -1, "same": 0}[move.direction]
            assert before.index(item) == place + sign * move.by


def test_the_parts_that_weigh_most_come_first_and_nothing_is_lost() -> None:
    reason = {
        "popularity": 0.5, "again": -2.0, "boost": 0.0, "anyone": 0.1, "memory": 1.0, "rest": 0.001,
        "facets": {"brand": 0.25}, "items": {"shoe": 3.0},
    }  # fmt: skip
    assert parts(reason) == [
        Part("item", 3.0, "shoe"), Part("again", -2.0), Part("memory", 1.0), Part("popularity", 0.5),
        Part("facet", 0.25, "brand"), Part("anyone", 0.1),
    ]  # fmt: skip
    assert parts(None) == []


def scrape(at: float, events: float) -> Scrape:
    registry = CollectorRegistry()
    accepted = Counter("accepted", "Taken in.", ["kind"], registry=registry)
    accepted.labels(kind="event").inc(events)
    accepted.labels(kind="item").inc(1)
    Gauge("lag", "Waits.", registry=registry).set(3)
    took = Histogram("took", "Seconds.", ["route"], buckets=(0.01, 0.1, 1.0), registry=registry)
    for seconds in [0.005] * 9 + [0.5]:
        took.labels(route="lists").observe(seconds)
    took.labels(route="items").observe(0.05)
    took.labels(route="never asked")
    return read(generate_latest(registry).decode(), at)


def test_metrics_are_summed_over_labels() -> None:
    assert scrape(0.0, 41).value("accepted_total") == 42
    assert scrape(0.0, 41).value("lag") == 3
    assert scrape(0.0, 41).value("no_such_metric") is None


def test_a_rate_is_growth_by_time_and_unknown_when_a_counter_began_anew() -> None:
    before, after = scrape(10.0, 5), scrape(12.0, 25)
    assert after.rate("accepted_total", before) == 10.0
    assert before.rate("accepted_total", None) is None
    assert scrape(12.0, 1).rate("accepted_total", before) is None


def test_a_quantile_is_the_bound_of_its_bucket() -> None:
    found = scrape(0.0, 1)
    assert found.quantile("took", 0.5) == 0.01
    assert found.quantile("took", 0.99) == 1.0
    assert found.quantile("took", 0.5, (("route", "items"),)) == 0.1
    assert found.quantile("no_such_histogram", 0.5) is None
    assert found.histograms() == [("took", (("route", "lists"),)), ("took", (("route", "items"),))]
    assert not any(math.isnan(number.value) for number in found.numbers)


@pytest.mark.parametrize("name", ["ada", "o'neil", '"; rm -rf ~; "', "$(id)", "`id`", "a b\tc", "<script>", "é漢字"])
def test_a_hostile_id_is_nothing_but_text_to_the_shell(name: str) -> None:
    call = calls.post_events([{"user_id": name, "item_id": "x"}], True)
    command = curl(call, "http://127.0.0.1:8000", key=False)
    seen = subprocess.run(
        ["sh", "-c", f'curl() {{ for part in "$@"; do printf \'%s\\0\' "$part"; done; }}; {command}'],
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    assert seen[:3] == [b"-X", b"POST", b"http://127.0.0.1:8000/v1/events?wait=applied"]
    assert json.loads(seen[-2]) == [{"user_id": name, "item_id": "x"}]


def test_the_command_carries_the_whole_body_and_never_the_key() -> None:
    events = [{"user_id": f"user-{number}", "item_id": "x" * 50} for number in range(200)]
    call = calls.post_events(events, False)
    assert "content-encoding" in call.headers  # the client packs what is long; a person wants to read it
    words = shlex.split(curl(call, "http://127.0.0.1:8000", key=True))
    assert json.loads(words[-1]) == events
    assert "Authorization: Bearer $PEREGRINE_API_KEY" in words


def test_a_hostile_id_stays_one_part_of_the_path() -> None:
    words = shlex.split(curl(calls.get_user("a/../b?c#d", pairs=True), "http://h", key=False))
    assert words[-1] == "http://h/v1/users/a%2F..%2Fb%3Fc%23d?pairs=true"
