"""Profiles without a language model: categories, brands and key terms that weigh most, the newest items most.

It never tells which crowd a user belongs to: that would be invented.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from service.profile_path.hygiene import LIMITS
from service.profile_ports import History, HistoryItem

HALF_LIFE = 30.0
"""Days after which an item weighs half."""
_OWN = 0.5  # of a term that only one title has

_WORD = re.compile(r"[^\W\d_][^\W_]*(?:['\u2019-][^\W_]+)*")
_CHINESE = re.compile(r"[\u3400-\u9fff]{2,}")
_STOP = re.compile(
    r"and|are|des|die|der|das|for|from|für|las|les|los|mit|not|our|out|per|pour|set|size|the|this|und|une|"
    r"van|von|with|without|your|new|pack|men|mens|men's|women|womens|women's|kids|unisex|black|white|red|blue|green|grey|gray|xxl|pcs|count"
)
_LEAST = 3  # letters of a word


class ExtractiveProfiler:
    """`Profiler`."""

    source = "extractive"
    model = "none"
    prompt = "1"

    async def describe(self, history: History) -> Mapping[str, Sequence[str]]:
        return {
            "crowd": [],
            "interest": _best(_terms(history), LIMITS["interest"]),
            "category": _best(_weighed(history, "category"), LIMITS["category"]),
            "brand": _best(_weighed(history, "brand"), LIMITS["brand"]),
        }


def _weight(item: HistoryItem) -> float:
    weight: float = min(item.count, 5) * 0.5 ** (item.age / HALF_LIFE)
    return weight


def _weighed(history: History, name: str) -> dict[str, float]:
    return _sum((getattr(item, name), _weight(item)) for item in history.items if getattr(item, name))


def _terms(history: History) -> dict[str, float]:
    """Words and pairs of words of titles; what several items share counts in full. Pairs take the place of their
    words."""
    found: list[tuple[str, float]] = []
    shared: dict[str, set[str]] = {}
    for item in history.items:
        for term in dict.fromkeys(_words(item.title)):
            found.append((term, _weight(item)))
            shared.setdefault(term, set()).add(item.title)
    weights = _sum(found)
    weights = {term: weight if len(shared[term]) > 1 else _OWN * weight for term, weight in weights.items()}
    pairs = {term for term in weights if " " in term and len(shared[term]) > 1}
    covered = {word for pair in pairs for word in pair.split() if len(shared[word]) <= len(shared[pair])}
    return {
        term: weight for term, weight in weights.items() if (term in pairs or " " not in term) and term not in covered
    }


def _words(title: str) -> Iterable[str]:
    """Words, pairs of words that follow each other, and of Chinese pairs of characters."""
    for run in _CHINESE.findall(title):
        yield from (run[at : at + 2] for at in range(len(run) - 1))
    before = ""
    for word in _WORD.findall(_CHINESE.sub(" ", title)):
        own = word.casefold()
        if len(own) < _LEAST or _STOP.fullmatch(own):
            before = ""
            continue
        yield own
        if before:
            yield f"{before} {own}"
        before = own


def _sum(weights: Iterable[tuple[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for term, weight in weights:
        total[term] = total.get(term, 0.0) + weight
    return total


def _best(weights: Mapping[str, float], most: int) -> list[str]:
    """Heaviest first; of equal ones, the newest."""
    return sorted(weights, key=lambda term: -weights[term])[:most]
