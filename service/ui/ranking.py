"""The list of the Live page: rows that move to their places, arrows, and why each item is there."""

from __future__ import annotations

from collections.abc import Mapping

from nicegui.element import Element

from service.client import Json, Recommended
from service.ui.moves import Move
from service.ui.reasons import Part, parts
from service.ui.story import Turn
from service.ui.titles import note_of, title_of
from service.ui.visit import Visit


class Ranking(Element, component="assets/ranking.js"):
    """words: `list`, `why` and `none`. Emits `shown` with the milliseconds from click to frame."""

    def __init__(self, words: dict[str, str]) -> None:
        super().__init__()
        self.props["rows"] = []
        self.props["turn"] = 0
        self.props["words"] = words

    def show(self, visit: Visit, turn: Turn, known: Mapping[str, Json]) -> None:
        """The list of `turn`; known: items by id, for their titles."""
        items = turn.answer.items
        most = max((abs(part.value) for item in items for part in parts(item.reason)), default=1.0)
        widest = max((sum(p.value for p in parts(item.reason) if p.value > 0) for item in items), default=1.0) or 1.0
        rows = [_row(visit, item, move, known, (most, widest)) for item, move in zip(items, turn.moves, strict=True)]
        self.props.update(rows=rows, turn=int(self.props["turn"]) + 1)
        self.update()


def _row(
    visit: Visit, item: Recommended, move: Move, known: Mapping[str, Json], scale: tuple[float, float]
) -> dict[str, object]:
    """scale: the largest part of the list, and the largest sum of what speaks for an item."""
    most, widest = scale
    document = known[item.item_id]
    marks = [visit.t(f"live.{mark}") for mark in ("pinned", "explored") if getattr(item, mark)]
    found = [_part(visit, part, known, most) for part in parts(item.reason)]
    return {
        "id": item.item_id,
        "rank": item.rank,
        "move": move.direction,
        "by": move.by,
        "said": visit.t(f"move.{move.direction}", n=move.by),
        "title": title_of(document),
        "note": " · ".join(filter(None, [note_of(document), *marks])),
        "score": f"{item.score:.2f}",
        "parts": found,
        "sum": round(sum(part.value for part in parts(item.reason) if part.value > 0) / widest, 3),
    }


def _part(visit: Visit, part: Part, known: Mapping[str, Json], most: float) -> dict[str, object]:
    """width: percent of the widest bar of the list."""
    of = {"item": lambda: title_of(known[part.of]), "facet": lambda: visit.t(f"facet.{part.of}")}.get(part.kind)
    return {
        "kind": part.kind,
        "label": visit.t(f"part.{part.kind}", of=of() if of else ""),
        "value": part.value,
        "shown": f"{part.value:+.2f}",
        "width": round(100 * abs(part.value) / most, 1),
    }
