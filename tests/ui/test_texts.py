"""The pages say the same in every language."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import service.ui
from service.ui.texts import LANGUAGES, preferred, texts

ROOT = Path(service.ui.__file__).parent
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py"))
OTHERS = sorted(set(LANGUAGES) - {"en"})


def placeholders(text: str) -> set[str]:
    return set(string.Template(text).get_identifiers())


@pytest.mark.parametrize("language", OTHERS)
def test_every_language_has_the_same_keys(language: str) -> None:
    assert texts(language).keys() == texts("en").keys()


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_names_the_same_values(language: str) -> None:
    english, other = texts("en"), texts(language)
    assert {key: placeholders(text) for key, text in other.items()} == {
        key: placeholders(text) for key, text in english.items()
    }


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_no_text_is_empty_and_every_template_can_be_filled(language: str) -> None:
    for key, text in texts(language).items():
        assert text.strip(), key
        assert string.Template(text).is_valid(), key


def test_every_key_that_the_pages_ask_for_is_there() -> None:
    asked = set(re.findall(r"""\bt\(\s*["']([a-z_.]+[a-z])["']""", SOURCES))
    assert len(asked) > 50
    assert not asked - texts("en").keys()


def test_no_text_is_left_that_no_page_asks_for() -> None:
    """A key is asked for as it stands, or its table is: f"kind.{kind}"."""
    tables = set(re.findall(r'f"([a-z_]+)\.(?:[a-z_]*)\{', SOURCES)) | set(re.findall(r"'([a-z_]+)\.' \+", SOURCES))
    known = set(re.findall(r"""["']([a-z_]+\.[a-z_]+)["']""", SOURCES))
    assert not {key for key in texts("en") if key not in known and key.split(".")[0] not in tables}


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("de-DE,zh;q=0.5", "zh"), ("fr", "en"), ("", "en"), ("en-GB", "en")],
)
def test_the_first_language_that_there_is_is_taken(accepted: str, language: str) -> None:
    assert preferred(accepted) == language
