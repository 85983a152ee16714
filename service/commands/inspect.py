"""`peregrine inspect`: what the service remembers."""

from __future__ import annotations

from service.commands import terminal
from service.commands.connection import connect


def request(request_id: str, url: str | None, as_json: bool) -> None:
    """Prints what was shown for a request, and the events that named it since."""
    with connect(url) as client:
        found = client.get_request(request_id)
    if as_json:
        terminal.print_json(found)
        return
    from rich.table import Table

    table = Table("rank", "item", "", "outcomes", title=f"{found['strategy']} list of {found['at']}, {found['model']}")
    for item in found["items"]:
        mark = "pinned" if item["pinned"] else "explored" if item["explored"] else ""
        table.add_row(str(item["rank"]), item["item_id"], mark, _told(item["outcomes"]))
    terminal.stdout().print(table)
    if found["elsewhere"]:
        terminal.say(f"with items that were not in the list: {_told(found['elsewhere'])}")


def _told(outcomes: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in outcomes.items())
