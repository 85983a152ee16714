"""`peregrine recommend`: a user's list in the terminal."""

from __future__ import annotations

from service.client import Client, Recommendations
from service.commands import terminal
from service.commands.connection import connect


def run(user_id: str, k: int, at: str | None, exclude_seen: bool, url: str | None, as_json: bool) -> None:
    """Prints the Top-K of a user, now or at a moment (RFC 3339 or unix seconds)."""
    with connect(url) as client:
        answer = client.recommendations(user_id, k, at, exclude_seen)
        if as_json:
            terminal.print_json(answer.model_dump())
        else:
            _print(user_id, answer, documents(client, [entry.item_id for entry in answer.items]))


def documents(client: Client, item_ids: list[str]) -> dict[str, dict[str, object]]:
    """Catalogue documents by item id, as far as the catalogue knows the items."""
    found: dict[str, dict[str, object]] = {}
    for start in range(0, len(item_ids), 100):  # of a length that fits into a URL
        answer = client.get_items(item_ids[start : start + 100])
        found |= {str(document["item_id"]): document for document in answer["items"]}
    return found


def _print(user_id: str, answer: Recommendations, known: dict[str, dict[str, object]]) -> None:
    from rich.table import Table

    state = answer.state
    table = Table("rank", "item", "title", "category", "score", title=f"for {user_id}, from {state.events_seen} events")
    for entry in answer.items:
        document = known.get(entry.item_id, {})
        title, category = (str(document.get(name) or "") for name in ("title", "category"))
        table.add_row(str(entry.rank), entry.item_id, title, category, f"{entry.score:.3f}")
    terminal.stdout().print(table)
    if answer.strategy != "model":
        terminal.say(f"strategy: {answer.strategy}")
