"""What the client raises.

ClientError
|- Unreachable          nobody answers at that address, or not in time
|- UnexpectedAnswer     something answers that is no Peregrine
|- ProblemError         the service says no: status, title, detail, errors (problem+json)
   |- Unauthorised      401, 403
   |- NotFound          404
   |- Conflict          409, such as `at` before the user's last event
   |- Refused           400, 413, 415, 422: the request itself is wrong
   |- Busy              429, 503: later; `retry_after` says when
      |- Overloaded     the log takes no more for now, and took nothing of the request: it can be sent again as it is
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.errors import PeregrineError


class ClientError(PeregrineError):
    """A request that did not succeed."""


class Unreachable(ClientError):
    """Nobody answers at that address, or not in time."""


class UnexpectedAnswer(ClientError):
    """Something answers that is no Peregrine, or a version this client does not understand."""


class ProblemError(ClientError):
    """The service says no. status: HTTP status; errors: details per field or per event; lag: records that wait to be
    applied, if it says so."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None) -> None:
        self.status = status
        self.title = str(problem.get("title") or f"HTTP {status}")
        self.detail = str(problem.get("detail") or "")
        self.errors: list[Any] = list(problem.get("errors") or [])
        self.retry_after = retry_after
        self.lag: int | None = problem.get("lag")
        super().__init__(f"{status} {self.title}" + (f": {self.detail}" if self.detail else ""))


class Unauthorised(ProblemError):
    """401, 403."""


class NotFound(ProblemError):
    """404."""


class Conflict(ProblemError):
    """409."""


class Refused(ProblemError):
    """400, 413, 415, 422."""


class Busy(ProblemError):
    """429, 503."""


class Overloaded(Busy):
    """503 of the type `back-pressure`: nothing of the request was taken."""


PROBLEMS: dict[int, type[ProblemError]] = {
    **dict.fromkeys((401, 403), Unauthorised),
    404: NotFound,
    409: Conflict,
    **dict.fromkeys((400, 413, 415, 422), Refused),
    **dict.fromkeys((429, 503), Busy),
}
"""By HTTP status; any other is a ProblemError."""
BACK_PRESSURE = "urn:peregrine:problem:back-pressure"
"""Type of the problems that are `Overloaded`."""
