"""The client: every answer typed, every refusal an exception of its own; sync and asyncio alike."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from threading import Thread
from uuid import uuid4

import httpx
import pytest

from service.client import (
    AsyncClient,
    Busy,
    Client,
    Conflict,
    NotFound,
    ProblemError,
    Refused,
    Unauthorised,
    UnexpectedAnswer,
    Unreachable,
)
from service.commands.wire import Wire
from service.embedded import EmbeddedValkey
from service.settings import load_settings
from tests.http.running import Running, toy_bundle

SHORT = httpx.Timeout(0.3)


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as found:
        yield found


def answering(response: bytes) -> tuple[str, Thread]:
    """The address of a server that answers one request with these bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65_536)
            connection.sendall(response)

    thread = Thread(target=serve)
    thread.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}", thread


def response(status: str, body: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def test_what_is_posted_comes_back(client: Client) -> None:
    user, item = uuid4().hex, f"{uuid4().hex} / ö?"
    client.put_item(item, {"title": "Kettle", "available_from": None})
    assert client.get_item(item)["title"] == "Kettle"
    assert client.get_items([item, "unheard"])["missing"] == ["unheard"]
    many = client.put_items([{"item_id": item, "title": "Pot"}, {"item_id": "", "title": "none"}])
    assert (many.accepted, many.rejected, many.errors[0]["index"]) == (1, 1, 1)
    event = {"event_id": uuid4().hex, "user_id": user, "item_id": item, "timestamp": 5_000}
    accepted = client.post_events([event], wait=True)
    again = client.post_events([event] * 2)
    assert (accepted.accepted, accepted.applied, again.duplicates, again.applied) == (1, True, 2, None)
    found = client.recommendations(user, k=500, at=6_000, min_offset=accepted.offset)
    assert found.state.offset >= accepted.offset
    assert item in [entry.item_id for entry in found.items]
    assert item not in [entry.item_id for entry in client.recommendations(user, k=500, exclude_seen=True).items]
    assert client.get_user(user, pairs=True)["pairs"][0]["item_id"] == item
    assert client.ready().ok
    assert client.version()["name"] == "peregrine"


def test_rules_patches_and_deletions_travel(client: Client) -> None:
    item, guest = f"{uuid4().hex} / ö?", uuid4().hex
    client.put_item(item, {"category": guest})
    asked = {"filter": {"category": guest}, "k": 1, "events": [{"item_id": item}]}
    first = client.recommend(asked)
    assert [entry.item_id for entry in first.items] == [item]
    assert first.cursor is not None
    assert client.recommend({**asked, "cursor": first.cursor}).items == []
    assert client.patch_item(item, {"hidden": True})["applied"]
    assert client.recommend(asked).items == []
    assert client.delete_item(item)["applied"]
    with pytest.raises(NotFound):
        client.get_item(item)


def test_a_person_can_be_switched_off_exported_and_erased(client: Client) -> None:
    user = f"{uuid4().hex} / ö?"
    client.post_events([{"user_id": user, "item_id": "i", "timestamp": 5_000}], wait=True)
    assert client.set_personalised(user, False)["applied"]
    assert client.get_user(user)["personalised"] is False
    kinds = [json.loads(line)["record"] for line in client.export_user(user)]
    assert kinds == ["user", "event", "switch", "end"]
    erasure = client.erase_user(user)
    assert erasure["applied"]
    assert client.get_erasure(erasure["erasure_id"])["status"] == "pending"  # nobody keeps this log
    with pytest.raises(NotFound):
        client.get_user(user)
    with pytest.raises(NotFound):
        client.get_erasure("never")
    with pytest.raises(Refused):
        list(client.export_user("x" * 300))


def test_a_thousand_events_travel_as_one_body(client: Client) -> None:
    user = uuid4().hex
    events = [{"user_id": user, "item_id": "bulk", "timestamp": 5_000} for _ in range(1_000)]
    assert client.post_events(events, wait=True).accepted == 1_000
    assert client.get_user(user)["events"] == 1_000


def test_refusals_are_exceptions_of_their_own(client: Client) -> None:
    with pytest.raises(NotFound):
        client.get_user("nobody")
    with pytest.raises(Refused) as refused:
        client.recommendations("u", k=0)
    assert (refused.value.status, refused.value.errors[0]["field"]) == (422, "k")
    user = uuid4().hex
    client.post_events([{"user_id": user, "item_id": "i", "timestamp": 5_000}], wait=True)
    with pytest.raises(Conflict, match="before the user's last event"):
        client.recommendations(user, at=4_000)


def test_a_key_is_sent_and_wanted(valkey: EmbeddedValkey) -> None:
    settings = load_settings(
        log_url=valkey.log_url, state_url=valkey.state_url, prefix=f"key-{uuid4().hex}", api_key="s3cret"
    )
    with Running(settings, toy_bundle()) as service:
        url = f"http://127.0.0.1:{service.port}"
        with Client(url, api_key="s3cret") as client:
            assert client.recommendations("u").items == []
        for key in (None, "other"):
            with Client(url, api_key=key) as client, pytest.raises(Unauthorised):
                client.recommendations("u")


def test_busy_says_when_to_come_back() -> None:
    url, server = answering(response("503 Service Unavailable", '{"title": "Busy", "detail": "d"}', "Retry-After: 7"))
    with Client(url) as client, pytest.raises(Busy, match="503 Busy: d") as busy:
        client.post_events([])
    assert busy.value.retry_after == 7.0
    server.join()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        ("500 Oops", "<html>", ProblemError),
        ("200 OK", "<html>", UnexpectedAnswer),
        ("200 OK", "[]", UnexpectedAnswer),
        ("200 OK", "{}", UnexpectedAnswer),
    ],
)
def test_what_is_no_peregrine_is_told_apart(status: str, body: str, error: type[Exception]) -> None:
    url, server = answering(response(status, body))
    with Client(url) as client, pytest.raises(error):
        client.recommendations("u")
    server.join()


def test_nobody_there_and_nobody_answering_are_unreachable() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        client.version()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout=SHORT) as client, pytest.raises(Unreachable):
            client.version()


@pytest.mark.anyio
async def test_the_asyncio_client_answers_alike(url: str) -> None:
    user, item = uuid4().hex, uuid4().hex
    async with AsyncClient(url) as client:
        await client.put_item(item, {"title": "Kettle", "available_from": None})
        assert (await client.put_items([{"item_id": item, "title": "Pot"}])).accepted == 1
        accepted = await client.post_events([{"user_id": user, "item_id": item, "timestamp": 5_000}], wait=True)
        found = await client.recommendations(user, min_offset=accepted.offset)
        assert found.state.events_seen == (await client.get_user(user))["events"] == 1
        assert (await client.get_item(item))["item_id"] == (await client.get_items([item]))["items"][0]["item_id"]
        assert (await client.set_personalised(user, False))["personalised"] is False
        erasure = await client.erase_user(user)
        assert (await client.get_erasure(erasure["erasure_id"]))["status"] == "pending"
        assert (await client.ready()).ok
        assert (await client.version())["name"] == "peregrine"
        with pytest.raises(Refused):
            await client.recommendations(user, k=0)
    async with AsyncClient("http://127.0.0.1:9") as client:
        with pytest.raises(Unreachable):
            await client.version()


@pytest.mark.anyio
async def test_the_bare_client_asks_and_refuses_like_the_other(url: str) -> None:
    async with Wire(url) as wire:
        assert (await wire.ask("GET", "/version"))["name"] == "peregrine"
        with pytest.raises(ProblemError, match="422"):
            await wire.ask("GET", "/v1/users/u/recommendations?k=0")
        assert (await wire.ask("GET", "/readyz"))["ready"] is True  # the connection is still of use
    async with Wire("http://127.0.0.1:9") as wire:
        with pytest.raises(Unreachable):
            await wire.ask("GET", "/version")
