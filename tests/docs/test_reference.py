"""The reference is what the code says."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from service.embedded import EmbeddedValkey
from service.settings import load_settings
from tests.docs.reference import FOLDER, pages
from tests.http.running import Running, toy_bundle


@pytest.fixture(scope="module")
def made(valkey: EmbeddedValkey) -> Iterator[dict[str, str]]:
    stores = {"log_url": valkey.log_url, "state_url": valkey.state_url, "prefix": f"docs-{uuid4().hex}"}
    with Running(load_settings(**stores, embed_text="off", index="ivf"), toy_bundle()) as service:
        yield pages(service)


@pytest.mark.parametrize("name", ["api.md", "cli.md", "metrics.md", "settings.md"])
def test_the_page_is_what_the_code_says(made: dict[str, str], name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == made[name], "run `python -m tests.docs.reference`"


def test_there_is_no_other_page(made: dict[str, str]) -> None:
    assert {page.name for page in FOLDER.iterdir()} == set(made)
