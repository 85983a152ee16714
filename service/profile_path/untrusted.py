"""Text from outside (titles, categories, brands, answers of language models) made harmless to show and to send."""

from __future__ import annotations

import re
import unicodedata

from pydantic_core import from_json

from service.core.profiles import Facets

TITLE = 120
"""Characters of a title, category or brand that are looked at."""
PHRASE = 60
"""Characters of a facet's phrase."""

_UNSEEN = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}  # controls, bidi and zero-width, private, broken, separators
_MARKS = 2  # combining characters in a row: more pile up over the lines around them

_ALLOWED = re.compile(r"[\w\s&'\u2019\-+./,()%·・]+")
_LINK = re.compile(r"://|www\.|\b[\w-]+\.(?:com|net|org|io|co|cn|ru|info|biz|shop|top|xyz|me|tv|app|dev)\b", re.I)
_LONG_DIGITS = re.compile(r"\d(?:[\s().+/-]{0,2}\d){5,}")

# Words that stand for what a profile must not say of anybody: belief, origin, health, sex life, politics, crime.
_PROTECTED = re.compile(
    r"\b(?:christians?|catholics?|protestants?|muslims?|islam(?:ic)?|jew(?:s|ish)?|hindus?|buddhists?|sikhs?|atheists?|"
    r"religio\w*|ethnic\w*|rac(?:e|es|ial|ist)|whites?\s+(?:people|person)|blacks?\s+(?:people|person)|"
    r"african\s+americans?|hispanics?|latin[oax]s?|asians?|arabs?|gyps(?:y|ies)|immigrants?|refugees?|"
    r"gays?|lesbians?|bisexuals?|homosexual\w*|heterosexual\w*|transgender\w*|queer|lgbt\w*|sexual\w*|"
    r"pregnan\w*|infertil\w*|disab(?:led|ility|ilities)|handicapped|autis\w*|cancer|hiv|aids|diabet\w*|depress\w*|"
    r"mental(?:ly)?\s+(?:ill|illness|health)|addict\w*|alcoholics?|patients?|diseases?|obes\w*|dement\w*|"
    r"republicans?|democrats?|communists?|socialists?|left-?wing|right-?wing|politic\w*|union\s+members?|"
    r"criminals?|convicts?|debtors?|bankrupt\w*)\b",
    re.I,
)
_PROTECTED_CHINESE = re.compile(
    "基督|天主教|穆斯林|伊斯兰|犹太|印度教|佛教徒|道教徒|信徒|宗教|教徒|种族|民族|黑人|白人|移民|难民|同性恋|双性恋|"
    "异性恋|变性|跨性别|性取向|孕妇|怀孕|备孕|不孕|残疾|残障|自闭症|癌症|艾滋|糖尿病|抑郁|精神病|成瘾|酗酒|患者|"
    "疾病|肥胖|痴呆|党员|共产党|国民党|民主党|共和党|左派|右派|政治|罪犯|破产"
)


def clean(text: str, most: int = TITLE) -> str:
    """NFKC, without characters that are not seen, in one line, at most `most` characters."""
    seen, marks = [], 0
    for character in unicodedata.normalize("NFKC", text[: 8 * most]):
        kind = unicodedata.category(character)
        marks = marks + 1 if kind in {"Mn", "Me"} else 0
        if character.isspace():
            seen.append(" ")
        elif kind not in _UNSEEN and marks <= _MARKS:
            seen.append(character)
    return " ".join("".join(seen).split())[:most].rstrip()


def objection(phrase: str) -> str:
    """What is wrong with a phrase of a profile, whoever it comes from; "" if nothing."""
    if not phrase or len(phrase) > PHRASE or not any(character.isalpha() for character in phrase):
        return "no phrase"
    if "@" in phrase or _LINK.search(phrase):
        return "a link or an address"
    if _LONG_DIGITS.search(phrase):
        return "a long number"
    if not _ALLOWED.fullmatch(phrase):
        return "characters that no phrase needs"
    if _PROTECTED.search(phrase) or _PROTECTED_CHINESE.search(phrase):
        return "a protected class"
    return ""


def copies(phrase: str, titles: set[str]) -> bool:
    """Whether a phrase is a title, or a long piece of one. titles: as `folded` gives them."""
    own = folded(phrase)
    if own in titles:
        return True
    long = len(own.split()) >= 4 or len(own) >= 24 or sum(character > "\u2e7f" for character in own) >= 8
    return long and any(own in title or title in own for title in titles if title)


def folded(text: str) -> str:
    """What two texts have in common that differ in case, width or punctuation alone."""
    return " ".join(re.sub(r"[^\w\s]+", " ", unicodedata.normalize("NFKC", text)).casefold().split())


def names_of(document: bytes | None) -> tuple[str, str, str]:
    """Title, category and brand of a catalogue document, cleaned; "" where there is none."""
    known = from_json(document) if document else {}
    title, category, brand = (clean(str(known.get(name) or "")) for name in ("title", "category", "brand"))
    return title, category, brand


def tidy_facets(facets: Facets) -> dict[str, tuple[str, ...]]:
    """The same phrases cleaned, each once."""
    return {
        name: tuple(dict.fromkeys(clean(phrase, 2 * PHRASE) for phrase in phrases)) for name, phrases in facets.items()
    }
