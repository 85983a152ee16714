"""Who may see the pages, with which key they ask, and what every answer carries."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from service.client import Unauthorised
from service.embedded import EmbeddedValkey
from service.settings import load_settings
from service.ui import sessions
from service.ui.gate import SIGN_IN, Gate
from service.ui.sessions import COOKIE, Doors
from tests.http.running import Running, toy_bundle

KEY = "a-key-of-an-operator"


@pytest.fixture(scope="module")
def guarded(valkey: EmbeddedValkey) -> Iterator[Running]:
    """A service that wants a key."""
    urls = {"log_url": valkey.log_url, "state_url": valkey.state_url}
    settings = load_settings(**urls, prefix=f"ui-{uuid4().hex}", embed_text="off", api_key=KEY)
    with Running(settings, toy_bundle()) as service:
        yield service


def url_of(service: Running) -> str:
    return f"http://127.0.0.1:{service.port}"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """What stands behind the gate."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await PlainTextResponse("a page")(scope, receive, send)


async def get(doors: Doors, path: str = "/", host: str = "127.0.0.1:8080", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(Gate(application, doors))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as browser:
        return await browser.get(path, headers=headers)


async def socket(doors: Doors, host: str = "127.0.0.1:8080", **headers: str) -> str:
    """How a socket that asks for entry is answered."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    raw = [(name.encode(), value.encode()) for name, value in ({"host": host} | headers).items()]
    await Gate(application, doors)({"type": "websocket", "path": "/ws", "headers": raw}, receive, send)
    return str(sent[0]["type"])


@pytest.mark.anyio
async def test_a_key_that_the_service_knows_opens_a_session_with_that_key(guarded: Running) -> None:
    doors = Doors(url_of(guarded), None, open=False)
    token = await doors.sign_in(KEY)
    assert doors.admits(token)
    assert "items" in await doors.client(token).page_items()
    await doors.sign_out(token)
    assert not doors.admits(token)
    with pytest.raises(Unauthorised):
        doors.client(token)
    await doors.close()


@pytest.mark.anyio
async def test_a_key_that_the_service_does_not_know_opens_nothing(guarded: Running) -> None:
    doors = Doors(url_of(guarded), KEY, open=False)  # not even where the process has a key of its own
    with pytest.raises(Unauthorised):
        await doors.sign_in("another-key")
    assert not doors.admits(None)
    assert not doors.admits("")
    with pytest.raises(Unauthorised):
        doors.client(None)


@pytest.mark.anyio
async def test_a_session_ends_by_itself_and_the_oldest_makes_room(
    guarded: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST", 2)
    doors = Doors(url_of(guarded), None, open=False)
    first, second, third = [await doors.sign_in(KEY) for _ in range(3)]
    assert [doors.admits(token) for token in (first, second, third)] == [False, True, True]
    monkeypatch.setattr(sessions.time, "monotonic", lambda: float("inf"))
    assert not doors.admits(third)
    await doors.close()


@pytest.mark.anyio
async def test_strangers_are_sent_to_sign_in_and_their_sockets_closed(guarded: Running) -> None:
    doors, host = Doors(url_of(guarded), None, open=False), "pages.example"
    cookie = f"{COOKIE}={await doors.sign_in(KEY)}"
    stranger = await get(doors, "/", host)
    assert (stranger.status_code, stranger.headers["location"]) == (303, SIGN_IN)
    assert [(await get(doors, path, host)).status_code for path in (SIGN_IN, "/assets/style.css")] == [200, 200]
    assert await socket(doors, host) == "websocket.close"
    assert (await get(doors, "/", host, cookie=cookie)).text == "a page"
    assert await socket(doors, host, cookie=cookie) == "websocket.accept"
    assert await socket(doors, host, cookie=f"{COOKIE}=guessed") == "websocket.close"
    await doors.close()


@pytest.mark.anyio
async def test_pages_without_a_key_answer_only_under_names_of_this_machine() -> None:
    doors = Doors("http://127.0.0.1:9", None, open=True)
    for host, status in (("localhost:8080", 200), ("127.0.0.1:1", 200), ("evil.example", 403), ("10.0.0.1:80", 403)):
        assert (await get(doors, "/", host)).status_code == status, host


@pytest.mark.anyio
async def test_a_page_of_another_site_gets_neither_answer_nor_socket() -> None:
    doors, evil, own = Doors("http://127.0.0.1:9", None, open=True), "http://evil.example", "http://127.0.0.1:8080"
    assert (await get(doors, origin=evil)).status_code == 403
    assert (await get(doors, origin=own)).status_code == 200
    assert await socket(doors, origin=evil) == "websocket.close"
    assert await socket(doors, origin=own) == "websocket.accept"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/", SIGN_IN])
async def test_every_answer_forbids_other_sources_frames_and_sniffing(path: str) -> None:
    headers = (await get(Doors("http://127.0.0.1:9", None, open=True), path)).headers
    policy = headers["content-security-policy"]
    for part in ("default-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'self'"):
        assert part in policy
    assert "://" not in policy  # no other site is named
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
