"""The documentation is true: whoever does what a page says gets what it says."""

from __future__ import annotations

import json
import re
import socket
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from service.commands import bundles
from service.commands.bundles import remade
from service.embedded import EmbeddedValkey
from service.processes.all_in_one import Stack
from service.settings import load_settings
from tests.docs.pages import DOCS, ROOT, blocks, follow
from tests.e2e.processes import until
from tests.http.running import Running, toy_bundle
from tests.profiles.endpoint import FakeEndpoint


@pytest.fixture(scope="module")
def service(valkey: EmbeddedValkey) -> Iterator[Running]:
    """What a page means by "a service running"; by the wall clock, with a toy model."""
    stores = {"log_url": valkey.log_url, "state_url": valkey.state_url, "prefix": f"docs-{uuid4().hex}"}
    with Running(load_settings(**stores, embed_text="off"), toy_bundle()) as running:
        yield running


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def gorse() -> Iterator[str]:
    """A Gorse as far as the page reads one: two pages of feedback, one of items."""
    feedback = [
        {"FeedbackType": "star", "UserId": f"u{n % 4}", "ItemId": f"i{n % 6}", "Timestamp": f"2026-01-01T00:{n:02}:00Z"}
        for n in range(40)
    ]
    items = [{"ItemId": f"i{n}", "Comment": f"Item {n}", "Categories": ["c"] if n else None} for n in range(6)]
    answers: dict[str, Any] = {
        "/api/items?n=1000&cursor=": {"Cursor": "", "Items": items},
        "/api/feedback?n=1000&cursor=": {"Cursor": "next", "Feedback": feedback[:20]},
        "/api/feedback?n=1000&cursor=next": {"Cursor": "", "Feedback": feedback[20:]},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers[self.path]).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"localhost:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_personal_data_is_shown_corrected_switched_off_and_erased(service: Running, tmp_path: Path) -> None:
    done = follow(DOCS / "privacy.md", tmp_path, service.port)
    assert done.returncode == 0, done.stderr
    for shown in ('"user_id":"ada"', '"record":"end"', '"status":"overridden"', '"personalised":false', "pending"):
        assert shown in done.stdout, shown


@pytest.mark.long
def test_a_history_moves_from_gorse_and_from_a_table(service: Running, tmp_path: Path) -> None:
    with gorse() as place:
        done = follow(DOCS / "moving.md", tmp_path, service.port, localhost_8087=place)
    assert done.returncode == 0, done.stderr
    assert "PEREGRINE_CLOCK=event" in done.stderr  # a replay of what is long over, by the time of day
    rows = [json.loads(line) for line in (tmp_path / "history" / "interactions.ndjson").read_text().splitlines()]
    assert len(rows) == 40
    assert service.http.get("/v1/users/u1?pairs=true").json()["events"] == 10
    assert service.http.get("/v1/items/i1").json()["title"] == "Item 1"
    assert service.http.get("/v1/users/bob").json()["events"] == 1


def test_a_service_is_looked_at(service: Running, tmp_path: Path) -> None:
    done = follow(DOCS / "tuning.md", tmp_path, service.port)
    assert done.returncode == 0, done.stderr
    for shown in ("peregrine_lag", "peregrine_freshness_seconds_sum", "PEREGRINE_FEED_LENGTH"):
        assert shown in done.stdout, shown


@pytest.mark.long
def test_the_tutorial_ends_with_the_lists_that_it_tells(tmp_path: Path) -> None:
    done = follow(DOCS / "tutorial.md", tmp_path, free_port())
    assert done.returncode == 0, done.stderr
    starts = [found.start() for found in re.finditer('{"request_id"', done.stdout)]
    answers = [json.JSONDecoder().raw_decode(done.stdout, start)[0] for start in starts]
    lists = [[one["item_id"] for one in answer["items"]] for answer in answers]
    assert [one[0] for one in lists[:2]] == ["dog-toy", "grinder"]
    assert "accepted=1" in done.stdout


@pytest.mark.long
def test_a_model_of_ones_own_is_trained_and_served(tmp_path: Path) -> None:
    done = follow(DOCS / "own-data.md", tmp_path, free_port())
    assert done.returncode == 0, done.stderr
    assert "for u1" in done.stdout


@pytest.mark.long
def test_a_language_model_of_ones_own_describes_people(tmp_path: Path) -> None:
    with FakeEndpoint() as endpoint:
        place = endpoint.url.removeprefix("http://").partition("/")[0]
        done = follow(DOCS / "language-model.md", tmp_path, free_port(), localhost_11434=place)
        assert done.returncode == 0, done.stderr
        assert endpoint.asked


@pytest.mark.long
def test_what_measures_does_measure(service: Running, tmp_path: Path) -> None:
    done = follow(DOCS / "tuning.md", tmp_path, service.port, notes=frozenset({"long"}))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("{") >= 3


@pytest.mark.long
def test_a_model_is_rolled_out_taken_back_and_tried_against_another(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    """But for training again, which `tests/e2e/test_retrain.py` does."""
    july = remade(bundles.shipped(), tmp_path / "july", "july")
    for version in ("august", "september"):
        remade(july, tmp_path / "runs" / version / "bundle", version)
    stores = {"log_url": valkey.log_url, "state_url": valkey.state_url, "prefix": f"docs-{uuid4().hex}"}
    places = {"bundle": july, "models": tmp_path / "models", "archive_url": str(tmp_path / "archive")}
    settings = load_settings(**stores, **places, port=0, clock="wall", profiles="off", log_level="warning")
    with Stack(settings, lambda *_: None) as stack, stack.client() as client:
        events = [{"user_id": f"u{n % 20}", "item_id": f"i{n % 7}", "type": "purchase"} for n in range(200)]
        client.post_events(events, wait=True)
        port = stack.settings.port or int(stack.url.rpartition(":")[2])
        environment = {"PEREGRINE_URL": stack.url, "PEREGRINE_MODELS": str(places["models"])}
        done = follow(DOCS / "models.md", tmp_path, port, environment=environment)
        assert done.returncode == 0, done.stderr
        assert '"variants"' in done.stdout
        until(lambda: client.get("/v1/models")["active"] == "september")
        live = client.get("/v1/models")
    assert "july" not in {model["version"] for model in live["models"] if model["status"] in {"ready", "active"}}


def test_every_block_is_run_and_every_extra_exists() -> None:
    """A page with commands has a test above; what stands in them as install names extras of ours."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = set(tomllib.load(file)["project"]["optional-dependencies"])
    source = Path(__file__).read_text(encoding="utf-8")
    for page in sorted(DOCS.glob("*.md")):
        runnable = [block for block in blocks(page) if block.language in {"sh", "python"}]
        assert not runnable or f'DOCS / "{page.name}"' in source, page.name
        assert {block.note for block in runnable if block.language == "sh"} <= {"", "install", "long"}, page.name
        named = re.findall(r"\[([a-z,]+)\]\"", "".join(block.text for block in runnable if block.note == "install"))
        assert {extra for group in named for extra in group.split(",")} <= extras, page.name
