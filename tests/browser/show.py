"""`python -m tests.browser.show docs`: the screenshots of the README, and how long a click takes, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page

from tests.browser import chromium
from tests.browser.shop import shop

CLICKS = 40
_SETTLED = 1_200  # milliseconds: rows have glided, new ones have faded


def main(out: Path) -> None:
    path = chromium.find()
    if path is None:
        sys.exit(chromium.MISSING)
    with TemporaryDirectory() as folder, shop(Path(folder)) as stack, chromium.launched(path) as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800}, base_url=stack.ui_url)
        page.goto("/?user=ada")
        took = sorted(_click(page, f".tiles li:nth-child({1 + number * 7 % 15}) button") for number in range(CLICKS))
        page.goto("/?user=eve")
        page.wait_for_timeout(_SETTLED)
        lowest = page.locator(".rank-row").last.get_attribute("data-item")
        for _ in range(2):
            _click(page, f'[data-event="{lowest}"]')
        page.locator(f'.rank-row[data-item="{lowest}"] summary').click()
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(_SETTLED)
        page.screenshot(path=out / "live.png")
        page.emulate_media(color_scheme="dark")
        page.goto("/?user=ada")
        page.get_by_role("button", name="中文").click()
        page.wait_for_timeout(_SETTLED)
        _click(page, ".tiles li:nth-child(8) button")
        page.wait_for_timeout(_SETTLED)
        page.screenshot(path=out / "live-dark.png")
    times = {"p50": took[CLICKS // 2], "p90": took[CLICKS * 9 // 10], "largest": took[-1]}
    sys.stdout.write(json.dumps({"clicks": CLICKS, "click_to_list_ms": times}) + "\n")


def _click(page: Page, button: str) -> float:
    """Clicks an item and returns what the page measured, click to the frame with the new list [ms]."""
    ranking = page.locator(".ranking")
    turn = int(ranking.get_attribute("data-turn") or 0)
    page.locator(button).click()
    page.wait_for_function(f"document.querySelector('.ranking').dataset.turn == '{turn + 1}'")
    page.wait_for_timeout(300)
    return float(ranking.get_attribute("data-ms") or "nan")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
