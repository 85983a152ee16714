"""A small catalogue for a service that has none yet."""

from __future__ import annotations

from typing import Any

_SHOP = {
    "coffee": ("Espresso beans", "Filter papers", "Hand grinder", "Milk frother", "Moka pot", "Cold brew jug"),
    "running": ("Trail running shoe", "Running socks", "Hydration vest", "Head torch", "Gaiters", "Foam roller"),
    "books": ("A field guide to birds", "Bread at home", "Maps of the coast", "Night skies", "Wild gardens", "Knots"),
    "garden": ("Tomato seeds", "Pruning shears", "Watering can", "Bird feeder", "Compost bin", "Garden gloves"),
}


def samples() -> list[dict[str, Any]]:
    """Items as a bulk takes them."""
    return [
        {"item_id": f"sample-{category}-{number}", "title": title, "category": category}
        for category, titles in _SHOP.items()
        for number, title in enumerate(titles, 1)
    ]
