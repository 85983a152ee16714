"""What an earlier release left in its stores: read, or made again from its log; never taken for something else."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import redis

from model.spec import FORMAT, ModelSpec
from service.adapters.bundle import Bundle
from service.core.blobs import unpack_items, unpack_users
from service.core.live_models import LiveModel, pack_live
from service.core.log_records import UnreadableRecord
from service.embedded import EmbeddedValkey
from service.settings import load_settings
from service.wiring import build_worker
from tests.fixtures.write_state import EVENTS, PREFIX
from tests.http.running import Running, event, toy_bundle
from tests.process.toy import TOY_SPEC

FIXTURES = sorted(Path(__file__).parent.parent.joinpath("fixtures").glob("state-format-*.json"))
COMMANDS = {"string": "SET", "list": "RPUSH", "hash": "HSET", "stream": "XADD"}
NOW = toy_bundle()
NEXT = Bundle(NOW.model, "toy-next", "toy-next")


def unpacked(content: Any) -> Any:
    return [unpacked(part) for part in content] if isinstance(content, list) else base64.b64decode(content)


def load(fixture: Path, valkey: EmbeddedValkey, prefix: str) -> dict[str, Any]:
    """Puts everything back as it was, under another prefix."""
    held: dict[str, Any] = json.loads(fixture.read_bytes())
    for url, store in ((valkey.log_url, "log_url"), (valkey.state_url, "state_url")):
        with redis.Redis.from_url(url) as client:
            for packed, (kind, content) in held[store].items():
                key = base64.b64decode(packed).replace(PREFIX.encode(), prefix.encode(), 1)
                for entry in unpacked(content) if kind == "stream" else [unpacked(content)]:
                    parts = entry if isinstance(entry, list) else [entry]
                    client.execute_command(COMMANDS[kind], key, *parts)
    return held


@pytest.fixture(params=FIXTURES, ids=[path.stem for path in FIXTURES])
def left(request: pytest.FixtureRequest, valkey: EmbeddedValkey, prefix: str) -> dict[str, Any]:
    """The stores as the earlier release left them."""
    return load(request.param, valkey, prefix)


def service(valkey: EmbeddedValkey, prefix: str) -> Running:
    """This release, with a bundle that the earlier one did not have."""
    urls = {"log_url": valkey.log_url, "state_url": valkey.state_url}
    return Running(load_settings(**urls, prefix=prefix, clock="event", embed_text="off", state_timeout=5.0), NEXT)


def check(running: Running) -> None:
    """All that the earlier release was told is there, and the service goes on."""
    seen = {user: running.recommend(user, k=6) for user in "abcd"}
    assert {one["strategy"] for one in seen.values()} == {"model"}
    assert sum(one["state"]["events_seen"] for one in seen.values()) == len(EVENTS)
    assert running.http.get("/v1/items/u").json()["title"] == "A kettle"
    running.applied([event("a", "new", 1_700_001_000)])
    assert running.recommend("a")["state"]["events_seen"] == seen["a"]["state"]["events_seen"] + 1


def test_there_is_a_fixture_of_each_earlier_format() -> None:
    found = [json.loads(path.read_bytes())["format"] for path in FIXTURES]
    assert found == list(range(1, FORMAT))


def test_records_of_an_earlier_format_are_told_by_their_first_byte(left: dict[str, Any]) -> None:
    state = {base64.b64decode(key): content for key, (_, content) in left["state_url"].items()}
    user = base64.b64decode(state[b"fixture:1:u:a"])
    item = base64.b64decode(state[b"fixture:1:i:0"])
    assert user[0] == item[0] == left["format"]
    for unpack, blob in ((unpack_users, user), (unpack_items, item)):
        with pytest.raises(UnreadableRecord, match="version"):
            unpack([blob], TOY_SPEC)


def test_a_bundle_of_an_earlier_format_is_refused_with_the_reason(left: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"format {left['format']} is not the format {FORMAT}"):
        ModelSpec(format=left["format"])


@pytest.mark.usefixtures("left")
def test_the_state_is_made_again_from_the_log_of_an_earlier_release(valkey: EmbeddedValkey, prefix: str) -> None:
    with service(valkey, prefix) as running:
        check(running)
        assert build_worker(running.settings, NEXT).store.generation == 2


@pytest.mark.usefixtures("left")
def test_a_live_model_that_this_release_cannot_read_is_replaced(valkey: EmbeddedValkey, prefix: str) -> None:
    """Its record stands; the bundle of the settings takes the active one's place."""
    record = pack_live(LiveModel(1, "toy-1", "toy", "ready", switch=False))
    with redis.Redis.from_url(valkey.state_url) as client:
        client.hset(f"{prefix}:live", "1", record)
    with service(valkey, prefix) as running:
        check(running)
        (model,) = [one for one in running.http.get("/v1/models").json()["models"] if one["status"] == "active"]
        assert model["version"] == "toy-next"
