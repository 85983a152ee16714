"""How a list differs from the one before. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down", "same", "new"]


@dataclass(frozen=True, slots=True)
class Move:
    """Of one item. by: ranks that it moved; 0 for a new one."""

    direction: Direction
    by: int = 0


def moves(before: Sequence[str], after: Sequence[str]) -> list[Move]:
    """The move of each item of `after`. All stay where they are in a first list, with nothing before it."""
    rank = {item: place for place, item in enumerate(before)}
    return [_move(rank.get(item), place) if before else Move("same") for place, item in enumerate(after)]


def _move(before: int | None, after: int) -> Move:
    if before is None:
        return Move("new")
    if before == after:
        return Move("same")
    return Move("up" if after < before else "down", abs(before - after))
