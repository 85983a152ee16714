"""When a user's profile is due. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.process.records import Float, Records
from service.core.profiles import Maker, Profile, StoredProfile
from service.profile_ports import DeadLetter, Due, Reason

MOVED_PAUSE = 600.0
"""Seconds for which a profile is left alone, however the memory moves."""


@dataclass(frozen=True, slots=True)
class Rules:
    """min_events: of a user without a profile; new_events, min_age [s]: since the profile was made; drift: cosine of
    the memory then and now below which it has moved."""

    min_events: int = 3
    new_events: int = 5
    min_age: float = 6 * 3_600.0
    drift: float = 0.5


@dataclass(frozen=True, slots=True)
class Standing:
    """Of whom profiles are made now. bundle: hash of the weights that memories belong to."""

    maker: Maker
    bundle: str
    rules: Rules


def due(
    user_id: str, row: Records, stored: StoredProfile, letter: DeadLetter | None, now: float, standing: Standing
) -> Due | None:
    """Whether a profile is due, why, and from when on; None if it is not. row: one user's record (scalar)."""
    rules, events = standing.rules, int(row["events"])
    if stored.edits and not stored.is_embedded:
        return Due(user_id, Reason.ASKED)
    if letter is not None:
        return Due(user_id, Reason.GROWN, letter.at + rules.min_age)
    if stored.profile is None:
        return Due(user_id, Reason.MISSING) if events >= rules.min_events else None
    return _again(user_id, row, stored.profile, now, standing)


def _again(user_id: str, row: Records, profile: Profile, now: float, standing: Standing) -> Due | None:
    """Of a user who has a profile."""
    rules = standing.rules
    fresh = _new_events(int(row["events"]), profile)
    moved = fresh and profile.origin.bundle == standing.bundle and cosine(row["m"], profile.memory) < rules.drift
    grown = Due(user_id, Reason.GROWN, profile.origin.made_at + rules.min_age)
    if fresh >= rules.new_events and grown.ready_at <= now:
        return grown
    if moved:
        return Due(user_id, Reason.MOVED, profile.origin.made_at + MOVED_PAUSE)
    if profile.origin.maker != standing.maker:
        return Due(user_id, Reason.OUTDATED)
    return grown if fresh >= rules.new_events else None


def _new_events(events: int, profile: Profile) -> int:
    """Since the profile was made; all of them, if the user began anew."""
    return events - profile.origin.events if events >= profile.origin.events else events


def cosine(left: Float, right: Float) -> float:
    norms = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / norms if norms else 1.0
