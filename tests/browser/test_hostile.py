"""What people write is text on every page: no title, id, category or profile runs as a script or becomes markup."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from service.client import Client
from service.processes.all_in_one import Stack

HOSTILE = (
    "<img src=x onerror=window.pwned=1>",
    "</script><script>window.pwned=1</script>",
    "`+(window.pwned=1)+`${window.pwned=1}",
    "{{constructor.constructor('window.pwned=1')()}}",
    "\" autofocus onfocus=window.pwned=1 x=\"' onmouseover='window.pwned=1",
    "javascript:window.pwned=1",
    "<svg/onload=window.pwned=1><!--</textarea></title>",
    "\\u003cimg src=x onerror=window.pwned=1\\u003e&lt;b&gt;",
)
USER = "<img src=x onerror=window.pwned=1>'\"`${window.pwned=1}</script>{{window.pwned=1}}"


@pytest.fixture(scope="module")
def hostile(stack: Stack) -> None:
    """A user, items, events with such texts in every field; phrases of profiles may not hold such signs at all."""
    items = [
        {
            "item_id": text,
            "title": text,
            "category": text,
            "brand": text,
            "tags": [text[:64]],
            "attributes": {text: text},
        }
        for text in HOSTILE
    ]
    events = [{"user_id": USER, "item_id": text, "type": "purchase"} for text in HOSTILE for _ in range(2)]
    with Client(stack.url) as client:
        assert client.put_items(items, wait=True).rejected == 0
        assert client.post_events(events, wait=True).rejected == 0


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("path", ["/", "/users", "/privacy", "/items?q=pwned", "/models", "/health"])
def test_no_script_runs(page: Page, path: str, language: str, pages: str) -> None:
    page.context.add_cookies([{"name": "peregrine_language", "value": language, "url": pages}])
    page.goto(path if "?" in path else f"{path}?user={quote(USER)}")
    expect(page.locator("h1")).to_be_visible()
    page.wait_for_timeout(300)
    unharmed(page)


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("text", HOSTILE)
def test_an_item_of_that_id_is_shown_clicked_and_explained_as_text(page: Page, text: str) -> None:
    page.goto(f"/items?item={quote(text)}&q={quote(text)}&category={quote(text)}")
    expect(page.get_by_role("heading", name=text, exact=True)).to_be_visible()
    unharmed(page)
    page.goto(f"/?user={quote(USER)}")
    tile = page.locator(".tile", has=page.locator(".title", has_text=text)).first
    tile.hover()
    tile.click()
    expect(page.locator(".ranking")).to_have_attribute("data-turn", "2")
    first = page.locator(".rank-row").first
    first.locator("summary").click()
    expect(first.locator(".parts")).to_be_visible()
    unharmed(page)


@pytest.mark.usefixtures("hostile")
def test_a_language_cookie_of_any_content_is_english(page: Page, pages: str) -> None:
    page.context.add_cookies([{"name": "peregrine_language", "value": "../../etc/passwd", "url": pages}])
    page.goto("/models")
    expect(page.get_by_role("heading", name="Models", exact=True).first).to_be_visible()


def unharmed(page: Page) -> None:
    assert page.evaluate("window.pwned") is None
    for made in ("main img", "main [onfocus]", "main [onmouseover]", "main [onload]", 'a[href^="javascript:"]'):
        assert page.locator(made).count() == 0, made
