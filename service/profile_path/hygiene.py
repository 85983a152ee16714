"""What of an answer may become a profile. An answer follows the titles it was made from, and those are not ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.process.records import Float
from model.spec import FACETS
from service.core.profiles import Facets
from service.profile_path.untrusted import copies, folded, objection, tidy_facets
from service.profile_ports import History
from service.serving_ports import TextEmbedder

LIMITS = {"crowd": 3, "interest": 6, "category": 5, "brand": 5}
"""Phrases by facet at most."""
CHOSEN = ("category", "brand")
"""Facets whose phrases are chosen from the items' own; the others are free."""


@dataclass(frozen=True, slots=True)
class Checked:
    """facets: what is left; dropped: phrases by what was wrong with them."""

    facets: Facets
    dropped: Mapping[str, int]


def check(draft: Mapping[str, Sequence[str]], history: History, embedder: TextEmbedder, nearness: float) -> Checked:
    """Drops what no profile may say, what copies a title, and what is not near to anything the user had.

    Categories and brands must be the user's own. nearness: least cosine to one of the user's own texts.
    """
    facets = tidy_facets({name: tuple(draft.get(name, ())) for name in FACETS})
    wrong = {phrase: objection(phrase) for phrases in facets.values() for phrase in phrases}
    free = [phrase for phrase in dict.fromkeys((*facets["crowd"], *facets["interest"])) if not wrong[phrase]]
    alien = _alien(free, history, embedder, nearness)
    kept: dict[str, tuple[str, ...]] = {}
    dropped: dict[str, int] = {}
    for name, phrases in facets.items():
        own = {getattr(item, name) for item in history.items} if name in CHOSEN else None
        foreign = alien if own is None else {phrase: "not the user's own" for phrase in phrases if phrase not in own}
        found = [(phrase, foreign.get(phrase) or wrong[phrase]) for phrase in phrases]
        kept[name] = tuple(phrase for phrase, why in found if not why)[: LIMITS[name]]
        for _, why in found:
            if why:
                dropped[why] = dropped.get(why, 0) + 1
    return Checked(kept, dropped)


def _alien(phrases: Sequence[str], history: History, embedder: TextEmbedder, nearness: float) -> dict[str, str]:
    """What is wrong with phrases beside the titles they are made from."""
    titles = {folded(item.title) for item in history.items}
    found = {}
    for phrase, near in zip(phrases, _nearest(phrases, history.texts(), embedder), strict=True):
        if copies(phrase, titles):
            found[phrase] = "a copy of a title"
        elif near < nearness:
            found[phrase] = "far from what the user had"
    return found


def _nearest(phrases: Sequence[str], texts: Sequence[str], embedder: TextEmbedder) -> Float:
    """(B,) cosine of each phrase to the text that is nearest to it."""
    if not phrases or not texts:
        return np.zeros(len(phrases), np.float32)
    vectors = embedder.embed([*phrases, *texts])
    nearest: Float = (vectors[: len(phrases)] @ vectors[len(phrases) :].T).max(axis=1)
    return nearest


def facet_vectors(facets: Facets, embedder: TextEmbedder) -> Float:
    """(4, d_f) normalised mean of each facet's phrases; zero for an empty facet."""
    phrases = list(dict.fromkeys(phrase for name in FACETS for phrase in facets.get(name, ())))
    vectors = embedder.embed(phrases) if phrases else np.zeros((0, embedder.dim), np.float32)
    row = {phrase: vectors[place] for place, phrase in enumerate(phrases)}
    found = np.zeros((len(FACETS), embedder.dim), np.float32)
    for place, name in enumerate(FACETS):
        if facets.get(name):
            mean = np.mean([row[phrase] for phrase in facets[name]], axis=0)
            found[place] = mean / max(float(np.linalg.norm(mean)), 1e-6)
    return found
