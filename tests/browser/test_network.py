"""Chromium's own log of the network: whatever a page, its fonts or the browser asks for is on this machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from service.processes.all_in_one import Stack
from tests.browser import chromium

PATHS = ("/?user=ada", "/users?user=ada", "/items?item=sample-books-1", "/models", "/health", "/privacy?user=ada")
HERE = {"127.0.0.1", "localhost", "::1"}
FORM = "<form><input name='q'><input type='password'><button>go</button></form>"
QUIET = "--disable-features=AutofillServerCommunication"
"""Else Chromium asks its maker about every form that it has not met."""


def hosts(log: Path) -> dict[str, int]:
    """How often each host stands in an address that was asked for. A log that is not closed is cut at its last line."""
    text = log.read_text(encoding="utf-8", errors="replace")
    found: dict[str, int] = {}
    for url in re.findall(r'"url":"((?:https?|wss?)://[^"]+)"', text):
        host = str(urlsplit(json.loads(f'"{url}"')).hostname)
        found[host] = found.get(host, 0) + 1
    return found


def _form_alone(page: Page) -> None:
    page.set_content(FORM)
    page.locator("input").first.fill("tea")
    page.wait_for_timeout(10_000)


def _pages(page: Page) -> None:
    for place in PATHS:
        page.goto(place)
        expect(page.locator("h1")).to_be_visible()
    page.goto("/?user=ada")
    page.locator("[data-event]").first.click()
    expect(page.locator(".ranking")).to_have_attribute("data-turn", "2")


@pytest.mark.long
def test_no_request_leaves_the_machine(stack: Stack, tmp_path: Path) -> None:
    """Beside what a browser asks on its own account: for updates, for its owner's account. That is what it asks with a
    form of no site at all."""
    path = chromium.find()
    if path is None:
        pytest.skip(chromium.MISSING)
    asked = []
    for number, visit in enumerate((_form_alone, _pages)):
        log = tmp_path / f"net-{number}.json"
        with chromium.launched(path, QUIET, f"--log-net-log={log}") as browser:
            visit(browser.new_page(base_url=stack.ui_url))
        asked.append(hosts(log))
    alone, visited = asked
    assert "127.0.0.1" not in alone
    assert visited.get("127.0.0.1", 0) > len(PATHS)  # the log is one of what happened
    assert set(visited) - set(alone) <= HERE
