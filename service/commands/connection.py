"""Which service a command talks to."""

from __future__ import annotations

from service.client import Client
from service.processes.all_in_one import local_url
from service.settings import load_settings


def connect(url: str | None) -> Client:
    """A client of the service at `url`, or of the one these settings describe. The key comes from the settings.

    Raises ClientError at once if nobody answers there, or does not let us in.
    """
    settings = load_settings()
    key = settings.api_key
    client = Client(url or local_url(settings), key.get_secret_value() if key else None)
    try:
        client.version()
    except BaseException:
        client.close()
        raise
    return client
