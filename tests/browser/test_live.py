"""The Live story: a person clicks an item, and the list they see becomes another one."""

from __future__ import annotations

import json
import shlex
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from service.client import Client
from service.processes.all_in_one import Stack
from tests.browser.shop import in_order

ROWS = ".rank-row"


def order(page: Page) -> list[str]:
    """Ids of the list, as they stand on the screen from top to bottom."""
    tops = "rows => rows.map(row => [row.getBoundingClientRect().top, row.dataset.item])"
    shown = page.locator(f"{ROWS}:not(.rank-leave-active)").evaluate_all(tops)
    return [item for _, item in sorted(shown)]


def click(page: Page, item: str) -> float:
    """Clicks an item of the catalogue, waits for the list that follows, and returns what the page measured [ms]."""
    ranking = page.locator(".ranking")
    turn = int(ranking.get_attribute("data-turn") or 0)
    page.locator(f'[data-event="{item}"]').click()
    expect(ranking).to_have_attribute("data-turn", str(turn + 1))
    return float(ranking.get_attribute("data-ms") or "nan")


def open_live(page: Page, user: str) -> None:
    page.goto(f"/?user={user}")
    expect(page.locator(".ranking")).to_have_attribute("data-turn", "1")
    expect(page.locator(ROWS)).to_have_count(12)


def test_a_click_reorders_the_list_and_says_how_long_it_took(page: Page, stack: Stack) -> None:
    open_live(page, "newcomer")
    before = order(page)
    last = before[-1]
    took = [click(page, last) for _ in range(2)]
    page.wait_for_timeout(600)  # rows glide to their places for 450 ms
    after = order(page)
    assert after != before
    assert after.index(last) < before.index(last)
    expect(page.locator(f'{ROWS}[data-item="{last}"] .move')).to_be_visible()
    expect(page.locator("#reaction")).to_have_text(f"{took[-1]:.0f} ms")
    assert all(0 < one < 30_000 for one in took)
    with stack.client() as client:
        assert in_order(client, "newcomer", after)


@pytest.mark.long
def test_a_click_reorders_the_list_within_a_tenth_of_a_second(page: Page) -> None:
    """The median of 21 clicks, from the click to the frame that shows the new list, each on a list at rest. Any other
    load counts, too."""
    open_live(page, "hasty")
    took = []
    for item in order(page)[:7] * 3:
        took.append(click(page, item))
        page.wait_for_timeout(600)  # rows glide to their places for 450 ms
    assert sorted(took)[10] < 100, took


def test_rows_carry_arrows_that_agree_with_where_they_were(page: Page) -> None:
    open_live(page, "mover")
    before = order(page)
    click(page, before[8])
    page.wait_for_timeout(600)
    for place, item in enumerate(order(page)):
        row = page.locator(f'{ROWS}[data-item="{item}"]')
        classes = row.get_attribute("class") or ""
        said = row.locator(".sr-only").first.inner_text()
        if item not in before:
            assert ("move-new" in classes, said) == (True, "new in the list")
        elif (by := before.index(item) - place) == 0:
            assert ("move-same" in classes, said) == (True, "unchanged")
        else:
            assert ("move-up" in classes) == (by > 0)
            assert said == f"{'up' if by > 0 else 'down'} by {abs(by)}"


def test_a_row_opens_to_parts_that_add_up_to_its_score(page: Page) -> None:
    open_live(page, "ada")
    row = page.locator(ROWS).first
    row.locator("summary").click()
    expect(row.locator(".parts tr").first).to_be_visible()
    values = [float(text) for text in row.locator(".parts .number").all_inner_texts()]
    score = float(row.locator(".score").inner_text())
    assert sum(values) == pytest.approx(score, abs=0.01 * (len(values) + 4))  # each is rounded, the smallest left out
    widths = row.locator(".parts .bar i").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")
    assert max(widths) > 10


def test_an_invented_user_is_known_after_one_click(page: Page, stack: Stack) -> None:
    page.goto("/")
    page.get_by_role("link", name="Invent one").click()
    user = page.locator("#user").input_value()
    assert user.startswith("visitor-")
    expect(page.get_by_text("Nobody knows this user yet")).to_be_visible()
    expect(page.locator(".ranking")).to_have_attribute("data-turn", "1")
    click(page, "sample-coffee-1")
    expect(page.locator("#memory")).to_contain_text("1 events of the open moment")
    with stack.client() as client:
        assert client.get_user(user)["events"] == 1


def test_memory_moves_when_the_next_moment_begins(page: Page) -> None:
    open_live(page, "ada")
    expect(page.locator("#memory")).to_contain_text("Moved by 0.000")
    click(page, "sample-running-1")
    expect(page.locator("#memory")).not_to_contain_text("Moved by 0.000")


def test_the_copied_command_does_what_the_click_did(page: Page, stack: Stack) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_live(page, "copier")
    click(page, "sample-garden-2")
    page.get_by_role("button", name="Copy as curl: the last event").click()
    expect(page.locator("#said")).to_have_text("Copied")
    words = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    address = next(word for word in words if word.startswith("http"))
    assert urlsplit(address).netloc == urlsplit(stack.url).netloc
    assert (words[0], urlsplit(address).path) == ("curl", "/v1/events")
    [event] = json.loads(words[-1])
    assert {event[name] for name in ("user_id", "item_id", "type")} == {"copier", "sample-garden-2", "purchase"}
    with Client(stack.url) as client:
        assert client.post_events([event], wait=True).duplicates == 1  # the very event of the click


def test_the_story_can_be_told_by_keyboard_alone(page: Page) -> None:
    open_live(page, "typist")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Search (press /)")).to_be_focused()
    page.keyboard.type("night skies")
    page.keyboard.press("Enter")
    expect(page.locator("[data-event]")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.locator("[data-event]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".ranking")).to_have_attribute("data-turn", "2")


def test_clicks_in_a_hurry_all_count_and_the_last_list_stands(page: Page, stack: Stack) -> None:
    open_live(page, "hurried")
    for item in ("sample-books-1", "sample-books-2", "sample-books-3"):
        page.locator(f'[data-event="{item}"]').click(no_wait_after=True)
    expect(page.locator(".ranking")).to_have_attribute("data-turn", "4")
    page.wait_for_timeout(600)
    with stack.client() as client:
        assert client.get_user("hurried")["events"] == 3
        assert in_order(client, "hurried", order(page))
