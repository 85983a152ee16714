"""The other pages: what they show is what the service says, and what they do, the service has done."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from service.client import Client, NotFound
from service.processes.all_in_one import Stack
from service.ui.samples import samples
from tests.browser.shop import in_order

PAGES = ("/", "/users", "/items", "/models", "/health", "/privacy")


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with stack.client() as asking:
        yield asking


@pytest.fixture
def person(client: Client) -> str:
    """Somebody with two events of their own."""
    user = f"person-{uuid4().hex[:8]}"
    client.post_events(
        [{"user_id": user, "item_id": f"sample-books-{n}", "type": "purchase"} for n in (1, 2)], wait=True
    )
    return user


def test_a_user_is_shown_as_the_service_knows_them(page: Page, client: Client, person: str) -> None:
    page.goto("/users")
    expect(page.get_by_text("Whom shall it be?")).to_be_visible()
    page.get_by_label("User", exact=True).fill(person)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=person)).to_be_visible()
    listed = page.get_by_role("table", name="The list now").locator("tbody tr td:nth-child(2)").all_inner_texts()
    ids = {item["title"]: item["item_id"] for item in samples()}
    assert len(listed) == 10
    assert in_order(client, person, [ids.get(title, title) for title in listed])  # others are called by their id
    history = page.get_by_role("table", name=re.compile("whole history"))
    assert sorted(history.locator("tbody td:first-child").all_inner_texts()) == [
        "A field guide to birds",
        "Bread at home",
    ]


def test_an_unknown_user_is_no_error(page: Page) -> None:
    page.goto("/users?user=nobody-at-all")
    expect(page.get_by_text("No event of this user is known")).to_be_visible()
    page.goto("/privacy?user=nobody-at-all")
    expect(page.get_by_text("Nothing is stored on this person")).to_be_visible()


def test_items_are_found_by_words_and_filtered(page: Page) -> None:
    page.goto("/items")
    page.keyboard.press("/")
    page.keyboard.type("coast maps")
    page.keyboard.press("Enter")
    found = page.get_by_role("table", name="Items", exact=True).locator("tbody tr")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("Maps of the coast")
    page.goto("/items?shelf=latest&category=coffee")
    expect(found).to_have_count(6)
    page.goto("/items?q=nothing+is+called+this")
    expect(page.get_by_text("No item fits")).to_be_visible()


def test_a_filter_that_makes_no_sense_is_an_answer_and_not_a_crash(page: Page) -> None:
    page.goto("/items?min_price=cheap")
    expect(page.get_by_role("alert")).to_contain_text("The service refused the request")


def test_an_item_shows_what_is_like_it_and_hides_from_lists_until_it_is_shown_again(page: Page, client: Client) -> None:
    page.goto("/items?item=sample-garden-5")
    expect(page.get_by_role("table", name="Items like this one").locator("tbody tr").first).to_be_visible()
    page.get_by_role("button", name="Hide from all lists", exact=True).click()
    again = page.get_by_role("button", name="Show in lists again", exact=True)
    expect(again).to_be_visible()
    assert client.get_item("sample-garden-5")["hidden"] is True
    assert "sample-garden-5" not in {item.item_id for item in client.recommendations("ada", 100).items}
    again.click()
    expect(page.get_by_role("button", name="Hide from all lists", exact=True)).to_be_visible()
    assert "sample-garden-5" in {item.item_id for item in client.recommendations("ada", 100).items}


def test_the_models_page_says_what_runs_and_what_this_service_has_no_route_for(page: Page, client: Client) -> None:
    page.goto("/models")
    expect(page.get_by_role("definition").filter(has_text=client.version()["bundle"])).to_be_visible()
    for name in ("models", "experiments"):
        try:
            client.get(f"/v1/{name}")
        except NotFound:
            expect(page.get_by_text(f"This service has no /v1/{name}.")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_health_counts_what_comes_in_while_it_is_looked_at(page: Page, client: Client) -> None:
    page.goto("/health")
    expect(page.get_by_text("Ready", exact=True)).to_be_visible()
    row = page.locator("tr", has_text="peregrine_accepted_total").filter(has_text="kind=event").locator("td").nth(2)
    before = int(float(row.inner_text()))
    client.post_events([{"user_id": "ada", "item_id": "sample-books-1"}] * 3)
    expect(row).to_have_text(str(before + 3))


def test_a_profile_is_put_right_and_forgotten(page: Page, client: Client, person: str) -> None:
    page.goto(f"/privacy?user={person}")
    page.get_by_label("Interests").fill("chess, birdwatching")
    page.locator(".facet-edit", has=page.get_by_label("Brands")).get_by_role("checkbox").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Done", exact=True)).to_be_visible()
    expect(page.get_by_label("Interests")).to_have_value("chess, birdwatching")
    facets = client.get_profile(person)["facets"]
    assert facets["interest"] == {"phrases": ["chess", "birdwatching"], "status": "overridden"}
    assert facets["brand"]["status"] == "blocked"
    page.get_by_role("button", name="Forget the profile", exact=True).click()
    expect(page.get_by_label("Interests")).not_to_have_value("chess, birdwatching")


def test_personalisation_is_switched_off_and_on(page: Page, client: Client, person: str) -> None:
    page.goto(f"/privacy?user={person}")
    page.get_by_role("button", name="Switch off and delete the memory", exact=True).click()
    on = page.get_by_role("button", name="Switch on again, from nothing", exact=True)
    expect(on).to_be_visible()
    assert client.get_user(person)["personalised"] is False
    on.click()
    expect(page.get_by_text("Nothing is stored on this person")).to_be_visible()  # learning begins from nothing


def test_the_download_is_everything_that_is_stored(page: Page, client: Client, person: str, tmp_path: Path) -> None:
    page.goto(f"/privacy?user={person}")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download all of it").click()
    downloading.value.save_as(tmp_path / "all")
    lines = [json.loads(line) for line in (tmp_path / "all").read_text().splitlines()]
    assert [line["record"] for line in lines].count("event") == 2
    assert lines == [json.loads(line) for line in client.export_user(person)]


def test_nothing_is_erased_without_the_persons_id_and_everything_with_it(
    page: Page, client: Client, person: str
) -> None:
    page.goto(f"/privacy?user={person}")
    erase = page.get_by_role("button", name="Erase everything", exact=True)
    page.get_by_label(f"Type {person} to confirm").fill("somebody else")
    erase.click()
    expect(page.locator("#erasure")).to_contain_text("nothing was erased")
    assert client.get_user(person)["events"] == 2
    page.get_by_label(f"Type {person} to confirm").fill(person)
    erase.click()
    expect(page.locator("#erasure")).to_contain_text("Complete", timeout=60_000)
    with pytest.raises(NotFound):
        client.get_user(person)


def test_the_whole_frame_speaks_chinese_and_remembers_it(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("navigation").get_by_role("link", name="隐私")).to_be_visible()
    page.goto("/health")
    expect(page.get_by_role("heading", name="健康")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Health")).to_be_visible()


def test_dark_mode_follows_the_system_until_it_is_chosen_and_is_remembered(page: Page) -> None:
    dark = "document.body.classList.contains('body--dark')"
    page.emulate_media(color_scheme="dark")
    page.goto("/models")
    page.wait_for_function(dark)
    page.get_by_role("button", name="Light or dark").click()
    page.wait_for_function(f"!{dark}")
    page.goto("/users")
    page.wait_for_function("document.body.classList.contains('body--light')")
    assert page.evaluate(dark) is False


@pytest.mark.parametrize("path", [*(f"{path}?user=ada" for path in PAGES), "/items?item=sample-books-1"])
def test_nothing_hangs_over_the_edge_of_a_narrow_screen(page: Page, path: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(path)
    expect(page.locator("h1")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
