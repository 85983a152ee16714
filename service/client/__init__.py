"""The HTTP API as typed Python: `Client` and `AsyncClient`, one method per resource, errors as exceptions.

A request that the service has no time for (429, 503) is sent again for up to `patience` seconds, when the service asks
for it: if nothing was taken of it, or it may be taken twice. `track` does not even wait for the first time.

with Client("http://127.0.0.1:8000") as shop:
    shop.post_events([{"user_id": "u1", "item_id": "shoe", "type": "purchase"}], wait=True)
    shop.recommendations("u1", k=10).items
    shop.track({"user_id": "u1", "item_id": "sock"})  # sent soon, with others
"""

from service.client.answers import Accepted, Json, Recommendations, Recommended, Status
from service.client.asynchronous import AsyncClient
from service.client.buffer import Tracked, Tracking
from service.client.calls import encode_events
from service.client.errors import (
    Busy,
    ClientError,
    Conflict,
    NotFound,
    Overloaded,
    ProblemError,
    Refused,
    Unauthorised,
    UnexpectedAnswer,
    Unreachable,
)
from service.client.synchronous import Client

__all__ = [
    "Accepted",
    "AsyncClient",
    "Busy",
    "Client",
    "ClientError",
    "Conflict",
    "Json",
    "NotFound",
    "Overloaded",
    "ProblemError",
    "Recommendations",
    "Recommended",
    "Refused",
    "Status",
    "Tracked",
    "Tracking",
    "Unauthorised",
    "UnexpectedAnswer",
    "Unreachable",
    "encode_events",
]
