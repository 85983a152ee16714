"""axe finds nothing serious on any page, light or dark, in any language, full or empty."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

SERIOUS = {"serious", "critical"}
STATES = (
    "/?user=ada",
    "/?user=nobody-yet",
    "/users",
    "/users?user=ada",
    "/items?item=sample-books-1",
    "/items?q=no+such+item",
    "/models",
    "/health",
    "/privacy",
    "/privacy?user=ada",
)


def findings(page: Page) -> dict[str, list[str]]:
    """Serious findings: rule -> elements."""
    violations = Axe().run(page).response["violations"]
    return {
        found["id"]: [node["html"][:200] for node in found["nodes"]]
        for found in violations
        if found["impact"] in SERIOUS
    }


def test_a_serious_finding_is_seen_when_there_is_one(page: Page) -> None:
    page.goto("/models")
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<button></button>')")
    assert "button-name" in findings(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", STATES)
def test_no_page_has_a_serious_finding(page: Page, path: str, scheme: str, pages: str) -> None:
    language = "en" if scheme == "light" else "zh"
    page.context.add_cookies([{"name": "peregrine_language", "value": language, "url": pages}])
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page.goto(path)
    expect(page.locator("h1")).to_be_visible()
    page.wait_for_function(f"document.body.classList.contains('body--{scheme}')")
    if path.startswith("/?"):
        page.locator(".rank-row summary").first.click()
        expect(page.locator("#said")).to_be_attached()
    page.wait_for_timeout(500)
    assert findings(page) == {}
