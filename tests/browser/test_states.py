"""Pages when something is missing: the service, the catalogue, a key."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from service.embedded import EmbeddedValkey
from service.settings import load_settings
from service.ui.sessions import COOKIE
from tests.browser.alone import alone
from tests.browser.test_accessibility import findings
from tests.http.running import Running, toy_bundle

KEY = "the-key-of-an-operator"


@pytest.fixture(scope="module")
def service(valkey: EmbeddedValkey) -> Iterator[Running]:
    """One that wants a key, and has nothing in it."""
    urls = {"log_url": valkey.log_url, "state_url": valkey.state_url}
    settings = load_settings(**urls, prefix=f"ui-{uuid4().hex}", embed_text="off", api_key=KEY)
    with Running(settings, toy_bundle()) as running:
        yield running


@pytest.fixture
def pages(request: pytest.FixtureRequest, service: Running) -> Iterator[str]:
    """Of what the test is parametrized with: `away`, `open`, or `guarded`."""
    kind = request.param
    url = "http://127.0.0.1:9" if kind == "away" else f"http://127.0.0.1:{service.port}"
    settings = {"away": {}, "open": {"api_key": KEY}, "guarded": {"ui_host": "0.0.0.0"}}[kind]  # noqa: S104
    with alone(url, **settings) as address:
        yield address


@pytest.mark.parametrize("pages", ["away"], indirect=True)
def test_a_service_that_is_away_is_said_on_every_page_with_what_to_do(page: Page) -> None:
    for path in ("/", "/users?user=ada", "/items", "/models", "/health", "/privacy?user=ada"):
        page.goto(path)
        expect(page.get_by_role("alert").first).to_contain_text("The service does not answer")
        expect(page.get_by_role("alert").first).to_contain_text("peregrine doctor")
    page.goto("/models")
    page.get_by_role("button", name="Try again").first.click()
    expect(page.get_by_role("alert").first).to_contain_text("The service does not answer")


@pytest.mark.parametrize("pages", ["open"], indirect=True)
def test_an_empty_catalogue_offers_samples_and_the_story_begins(page: Page) -> None:
    page.goto("/?user=first")
    expect(page.get_by_text("The catalogue is empty")).to_be_visible()
    page.get_by_role("button", name="Put 24 sample items", exact=True).click()
    expect(page.locator("[data-event]")).to_have_count(24)
    page.locator("[data-event]").first.click()
    expect(page.locator(".rank-row").first).to_be_visible()


@pytest.mark.parametrize("pages", ["guarded"], indirect=True)
def test_off_loopback_everybody_signs_in_with_a_key_of_their_own(page: Page) -> None:
    page.goto("/items")
    assert page.url.endswith("/sign-in")
    assert findings(page) == {}
    page.get_by_label("API key").fill("a guess")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("does not know this key")
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What one event changes")).to_be_visible()
    [cookie] = [cookie for cookie in page.context.cookies() if cookie.get("name") == COOKIE]
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
    assert KEY not in page.content()
    page.get_by_role("button", name="Sign out").click()
    assert page.url.endswith("/sign-in")
    page.goto("/items")
    assert page.url.endswith("/sign-in")
