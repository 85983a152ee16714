"""Request bodies: read under a limit, inflated under the same limit, cut into entries that stand or fall alone."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

from service.api.problems import FieldError, Problem, field_errors, show

Model = TypeVar("Model", bound=BaseModel)

_NDJSON = {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ACCEPTED = "application/json or application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is no JSON."""

    text: str
    message: str


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, inflated if it is gzip. Raises Problem 413 above `limit` bytes, 415 and 422."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip"}:
        raise Problem(
            415,
            f"content-encoding {show(encoding)} is not supported: send gzip or none",
            headers={"accept-encoding": "gzip"},
        )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit, f"of {declared} bytes")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit, "so far")
        chunks.append(chunk)
    body = b"".join(chunks)
    return inflate(body, limit) if encoding == "gzip" else body


def inflate(data: bytes, limit: int) -> bytes:
    """Raises Problem 413 once more than `limit` bytes come out, 422 for data that is not one whole gzip member."""
    member = zlib.decompressobj(wbits=31)
    try:
        body = member.decompress(data, limit + 1)
    except zlib.error as exc:
        raise Problem(422, f"the body is not valid gzip: {exc}") from exc
    if len(body) > limit:
        raise _too_large(limit, "after inflating")
    if not member.eof or member.unused_data:
        raise Problem(
            422, "the body is not valid gzip: " + ("more follows its end" if member.eof else "it ends too early")
        )
    return body


def _too_large(limit: int, what: str) -> Problem:
    return Problem(413, f"the body {what} is above the limit of {limit} bytes: send smaller batches")


def media_type(request: Request) -> str:
    """The content type without parameters, lower case; "" if there is none. Raises Problem 415 for other than JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind not in _NDJSON and kind != "application/json" and not kind.endswith("+json"):
        raise Problem(415, f"content-type {show(kind)} is not supported: send {_ACCEPTED}")
    return kind


def parse_one(body: bytes) -> Any:
    """The one JSON value of a body. Raises Problem 422."""
    value = _parse(body)
    if isinstance(value, Unreadable):
        raise Problem(
            422, f"the body is not JSON: {value.message}", [FieldError(value=value.text, message=value.message)]
        )
    return value


async def read_model(request: Request, limit: int, model: type[Model]) -> Model:
    """The body as one object. Raises Problem 413, 415, and 422 that names the fields that are wrong."""
    media_type(request)
    entry = parse_one(await read_body(request, limit))
    try:
        return model.model_validate(entry)
    except ValidationError as exc:
        errors = field_errors(exc.errors(include_url=False))
        detail = "; ".join(f"{error.field or 'the body'}: {error.message}" for error in errors)
        raise Problem(422, detail, errors) from exc


def parse_many(body: bytes, kind: str, most: int) -> list[Any]:
    """The entries of a body: a JSON array, one object, or NDJSON, told by its content type or its shape.

    Lines that are no JSON stand as `Unreadable`. Raises Problem 422 for an empty body and for more than `most` entries.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    if kind in _NDJSON or _looks_like_lines(body):
        lines = [line for line in body.splitlines() if line.strip()]
        _check_count(len(lines), most)
        return [_parse(line) for line in lines]
    value = parse_one(body)
    entries = value if isinstance(value, list) else [value]
    _check_count(len(entries), most)
    return entries


def _check_count(count: int, most: int) -> None:
    if not count:
        raise Problem(422, "the body holds no entry")
    if count > most:
        message = f"at most {most} entries fit into one request"
        raise Problem(422, message, [FieldError(value=f"{count} entries", message=message)])


def _looks_like_lines(body: bytes) -> bool:
    """True for an object, a line break, and something more."""
    head, _, rest = body.lstrip().partition(b"\n")
    return head.startswith(b"{") and bool(rest.strip()) and isinstance(_parse(head), dict)


def _parse(text: bytes) -> Any:
    try:
        return from_json(text)
    except ValueError as exc:
        return Unreadable(show(text.decode("utf-8", "replace")), str(exc))


def validate(entries: Sequence[Any], model: type[Model]) -> tuple[list[tuple[int, Model]], list[FieldError]]:
    """The good entries with their places, and what is wrong with the others."""
    try:
        return list(enumerate(_many(model).validate_python(entries))), []
    except ValidationError:
        return _validate_each(entries, model)


@cache
def _many(model: type[Model]) -> TypeAdapter[list[Model]]:
    return TypeAdapter(list[model])  # type: ignore[valid-type]  # a type that is only known at run time


def _validate_each(entries: Sequence[Any], model: type[Model]) -> tuple[list[tuple[int, Model]], list[FieldError]]:
    good: list[tuple[int, Model]] = []
    errors: list[FieldError] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, Unreadable):
            errors.append(FieldError(index=index, value=entry.text, message=f"is not JSON: {entry.message}"))
            continue
        try:
            good.append((index, model.model_validate(entry)))
        except ValidationError as exc:
            errors += field_errors(exc.errors(include_url=False), index=index)
    return good, errors
