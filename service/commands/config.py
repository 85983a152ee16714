"""`peregrine config`: the settings in force. Secrets are shown as set or not, URLs without what is secret in them."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import SecretStr

from service.commands import terminal
from service.settings import PREFIX, Settings, load_settings

Shown = str | int | float | None


def run(as_json: bool) -> None:
    """Prints every setting: its environment variable, its value, what it means."""
    settings = load_settings()
    values = {name: redacted(getattr(settings, name)) for name in Settings.model_fields}
    if as_json:
        terminal.print_json(values, indent=2)
        return
    from rich.table import Table

    table = Table("variable", "value", "meaning")
    for name, field in Settings.model_fields.items():
        value = values[name]
        table.add_row(f"{PREFIX}{name.upper()}", "" if value is None else str(value), field.description)
    terminal.stdout().print(table)


def redacted(value: object) -> Shown:
    """What may be shown of a setting's value."""
    if isinstance(value, SecretStr):
        return without_secrets(value.get_secret_value())
    return value if value is None or isinstance(value, str | int | float) else str(value)


def without_secrets(secret: str) -> str:
    """A store's URL without user, password and query; nothing at all of any other secret."""
    if "://" not in secret:
        return "********"
    parts = urlsplit(secret)
    place = parts.hostname or ""
    if parts.port:
        place += f":{parts.port}"
    hidden = "********@" if "@" in parts.netloc else ""
    return f"{parts.scheme}://{hidden}{place}{parts.path}"
