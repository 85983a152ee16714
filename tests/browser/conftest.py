"""A browser, the pages of a running service, and what must hold for every page of every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from service.processes.all_in_one import Stack
from tests.browser import chromium
from tests.browser.shop import shop

expect.set_options(timeout=30_000)

REQUIRED = "PEREGRINE_TEST_BROWSER"
"""Set to `required`, a machine without a Chromium fails these tests instead of skipping them."""


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PEREGRINE_") and "_TEST_" not in name]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    if path is None and os.environ.get(REQUIRED) == "required":
        pytest.fail(chromium.MISSING, pytrace=False)
    if path is None:
        pytest.skip(chromium.MISSING)
    with chromium.launched(path) as running:
        yield running


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with shop(tmp_path_factory.mktemp("shop")) as running:
        yield running


@pytest.fixture
def pages(stack: Stack) -> str:
    """Where they are."""
    assert stack.ui_url
    return stack.ui_url


@pytest.fixture
def page(browser: Browser, pages: str) -> Iterator[Page]:
    """A window of its own. No request may leave for anywhere else, and no script may fail or be refused."""
    asked: list[str] = []
    wrong: list[str] = []
    with browser.new_context(viewport={"width": 1400, "height": 900}, locale="en-GB", base_url=pages) as context:
        context.set_default_timeout(30_000)
        context.on("request", lambda request: asked.append(request.url))
        window = context.new_page()
        window.on("websocket", lambda socket: asked.append(socket.url))
        window.on("pageerror", lambda error: wrong.append(str(error)))
        window.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        window.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        yield window
    here = urlsplit(pages).netloc
    assert not [url for url in asked if not url.startswith("data:") and urlsplit(url).netloc != here]
    assert not [said for said in wrong if "status of 4" not in said and "status of 5" not in said]
