"""Errors as RFC 9457 problem+json: the one place where an exception becomes a status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.api.patterns import PATTERNS
from service.errors import (
    BackPressure,
    BundleError,
    EndpointRefused,
    EndpointUnavailable,
    GraphFailed,
    MomentPassed,
    NoRoom,
    PeregrineError,
    RolloutRefused,
    StoreFull,
    StoreUnavailable,
    UnknownModel,
    WriterConflict,
)

log = structlog.get_logger("peregrine.api")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "1"
MEMORY_RETRY_SECONDS = "10"
"""A store that is nearly full does not get room in a second; a lag may."""
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}  # RFC 9110; Python 3.11 has the older names
_SHOWN = 100  # characters of an offending value


class FieldError(BaseModel):
    """One thing that is wrong. index: place in the batch, counted from 0; null when the request is no batch."""

    index: int | None = None
    field: str | None = Field(None, description="Path of the field; null when it is the whole entry.")
    value: str | None = Field(None, description=f"The value as met, cut to {_SHOWN} characters.")
    message: str


class ProblemBody(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(
        title="Problem",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:peregrine:problem:unprocessable-content",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "k: Input should be greater than or equal to 1",
                    "instance": "/v1/users/u-1/recommendations",
                    "request_id": "0199aa11-7c0f-7b2e-9c55-6f1de0b6b0a4",
                    "errors": [{"field": "k", "value": "0", "message": "Input should be greater than or equal to 1"}],
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[FieldError] = []
    lag: int | None = Field(None, description="Back-Pressure: log records that wait to be applied.")
    limit: int | None = Field(None, description="Back-Pressure: how many may.")


class Problem(Exception):
    """Raised by handlers: becomes an answer with `status`. title: the status's own without one; extra: further members
    of the body."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        title: str | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.title = title or _TITLES.get(status) or HTTPStatus(status).phrase
        self.extra = extra


def show(value: object) -> str:
    """A value as an error names it."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def answer(problem: Problem, instance: str, request_id: str) -> Response:
    """The response that a problem becomes."""
    body = ProblemBody(
        type=f"urn:peregrine:problem:{problem.title.lower().replace(' ', '-')}",
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        instance=instance,
        request_id=request_id,
        errors=list(problem.errors),
    )
    content = body.model_dump(exclude_none=True) | problem.extra
    headers = dict(problem.headers)
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("retry-after", RETRY_AFTER_SECONDS)
    return Response(to_json(content), problem.status, headers, MEDIA_TYPE)


def field_errors(errors: Sequence[Any], skip: int = 0, index: int | None = None) -> list[FieldError]:
    """Pydantic's errors in our words. skip: leading parts of the location that the caller does not know of."""
    return [_field_error(error, skip, index) for error in errors]


_ROUTING = {404: "there is no such path", 405: "this path does not take that method; see Allow"}
_WORDS = {
    "extra_forbidden": "unknown field",
    "missing": "is required",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
}


def _field_error(error: Any, skip: int, index: int | None) -> FieldError:
    where = ".".join(str(part) for part in error["loc"][skip:])
    kind = error["type"]
    message = _WORDS.get(kind) or str(error["msg"]).removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        message = PATTERNS[error["ctx"]["pattern"]]
    value = None if kind == "missing" else show(error["input"])
    return FieldError(index=index, field=where or None, value=value, message=message)


_STATUS = {404: (UnknownModel,), 409: (MomentPassed, RolloutRefused, NoRoom, WriterConflict, BundleError)}


def problem_of(exc: Exception) -> Problem:
    """The one mapping of errors; what is neither the caller's mistake nor a store's is a 500."""
    if isinstance(exc, Problem):
        return exc
    if isinstance(exc, RequestValidationError):
        errors = field_errors(exc.errors(), skip=1)
        return Problem(422, "; ".join(f"{error.field}: {error.message}" for error in errors), errors)
    if isinstance(exc, HTTPException):
        return Problem(exc.status_code, _ROUTING.get(exc.status_code, exc.detail), headers=exc.headers)
    for status, kinds in _STATUS.items():
        if isinstance(exc, kinds):
            return Problem(status, str(exc))
    if isinstance(exc, BackPressure | StoreUnavailable | EndpointUnavailable | EndpointRefused | GraphFailed):
        return _later(exc)
    log.error("unexpected_error", exc_info=exc)
    return Problem(500, "the service has a problem that is written in its log under this request_id")


def _later(exc: BackPressure | StoreUnavailable | EndpointUnavailable | EndpointRefused | GraphFailed) -> Problem:
    """503. The title Back-Pressure says that nothing was taken for sure: the caller may send it again as it is."""
    if isinstance(exc, BackPressure):
        headers = {"retry-after": MEMORY_RETRY_SECONDS} if exc.pressure else {}
        detail = f"nothing was taken, send it again later: {exc}"
        return Problem(503, detail, headers=headers, title="Back-Pressure", lag=exc.lag, limit=exc.limit)
    if isinstance(exc, StoreFull):
        detail = f"nothing was taken, a store is full ({exc})"
        return Problem(503, detail, headers={"retry-after": MEMORY_RETRY_SECONDS}, title="Back-Pressure")
    if isinstance(exc, EndpointUnavailable | EndpointRefused):
        return Problem(503, f"texts cannot be embedded now; try again later ({exc})")
    if isinstance(exc, GraphFailed):
        return Problem(503, f"the model cannot be asked: {exc}")
    return Problem(503, f"a store does not answer; try again later ({exc})")


async def _handle(request: Request, exc: Exception) -> Response:
    return answer(problem_of(exc), request.url.path, request.state.request_id)


def install(app: FastAPI) -> None:
    """Every error that a handler or the router raises leaves the application as problem+json."""
    for kind in (Problem, RequestValidationError, HTTPException, PeregrineError):
        app.add_exception_handler(kind, _handle)
