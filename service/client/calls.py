"""Every request of the client as data: method, path, body, and how its answer is read. No I/O."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from service.client.answers import Accepted, Answer, Json, Recommendations, Status
from service.client.errors import BACK_PRESSURE, PROBLEMS, Overloaded, ProblemError, UnexpectedAnswer

T = TypeVar("T")
A = TypeVar("A", bound=Answer)

Shelf = Literal["popular", "trending", "latest"]

_GZIP_ABOVE = 4_096  # bytes; below, packing costs more than it saves


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def _reads(answer: type[A]) -> Callable[[httpx.Response], A]:
    def read(response: httpx.Response) -> A:
        refuse(response)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as exc:
            raise UnexpectedAnswer(f"{response.request.url}: {exc.errors()[0]['msg']}") from exc

    return read


def _document(response: httpx.Response) -> Json:
    refuse(response)
    return _json(response)


def _document_or_nothing(response: httpx.Response) -> Json:
    refuse(response)
    return _json(response) if response.content else {}


def _status(response: httpx.Response) -> Status:
    if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        refuse(response)
    return Status(ok=response.is_success, body=_json(response))


def refuse(response: httpx.Response) -> None:
    """Raises what the answer's status stands for."""
    if response.is_success:
        return
    try:
        problem = _json(response)
    except UnexpectedAnswer:
        problem = {"detail": response.text[:200]}
    wait = response.headers.get("retry-after", "")
    kind = PROBLEMS.get(response.status_code, ProblemError)
    if problem.get("type") == BACK_PRESSURE:
        kind = Overloaded
    raise kind(response.status_code, problem, float(wait) if wait.isdecimal() else None)


def _json(response: httpx.Response) -> Json:
    try:
        body = response.json()
    except ValueError as exc:
        raise UnexpectedAnswer(f"{response.request.url} answers no JSON") from exc
    if not isinstance(body, dict):
        raise UnexpectedAnswer(f"{response.request.url} answers no JSON object")
    return body


def _text(response: httpx.Response) -> str:
    refuse(response)
    return response.text


def _body(content: bytes, kind: str) -> dict[str, Any]:
    headers = {"content-type": kind}
    if len(content) > _GZIP_ABOVE:
        content = gzip.compress(content, compresslevel=1, mtime=0)
        headers["content-encoding"] = "gzip"
    return {"content": content, "headers": headers}


def _id(node: str) -> str:
    return quote(node, safe="")


def encode_events(events: Sequence[Mapping[str, Any]]) -> bytes:
    """The body of a POST of events: a JSON array."""
    return json.dumps(events, separators=(",", ":"), ensure_ascii=False).encode()


def post_events(events: Sequence[Mapping[str, Any]] | bytes, wait: bool) -> Call[Accepted]:
    content = events if isinstance(events, bytes) else encode_events(events)
    params = {"wait": "applied"} if wait else {}
    return Call("POST", "/v1/events", _reads(Accepted), params, **_body(content, "application/json"))


def recommendations(
    user_id: str, k: int, at: int | str | None, exclude_seen: bool, min_offset: int | None
) -> Call[Recommendations]:
    params = {"k": str(k)}
    if at is not None:
        params["at"] = str(at)
    if exclude_seen:
        params["exclude_seen"] = "true"
    if min_offset is not None:
        params["min_offset"] = str(min_offset)
    return Call("GET", f"/v1/users/{_id(user_id)}/recommendations", _reads(Recommendations), params)


def recommend(asked: Mapping[str, Any]) -> Call[Recommendations]:
    content = json.dumps(dict(asked), ensure_ascii=False).encode()
    return Call("POST", "/v1/recommendations", _reads(Recommendations), **_body(content, "application/json"))


def get_request(request_id: str) -> Call[Json]:
    return Call("GET", f"/v1/requests/{_id(request_id)}", _document)


def put_item(item_id: str, item: Mapping[str, Any]) -> Call[Json]:
    content = json.dumps(dict(item), ensure_ascii=False).encode()
    return Call("PUT", f"/v1/items/{_id(item_id)}", _document, **_body(content, "application/json"))


def patch_item(item_id: str, changes: Mapping[str, Any]) -> Call[Json]:
    content = json.dumps(dict(changes), ensure_ascii=False).encode()
    return Call("PATCH", f"/v1/items/{_id(item_id)}", _document, **_body(content, "application/json"))


def delete_item(item_id: str) -> Call[Json]:
    return Call("DELETE", f"/v1/items/{_id(item_id)}", _document)


def get_item(item_id: str) -> Call[Json]:
    return Call("GET", f"/v1/items/{_id(item_id)}", _document)


def get_items(item_ids: Sequence[str]) -> Call[Json]:
    return Call("GET", "/v1/items", _document, {"ids": ",".join(item_ids)})


def page_items(limit: int, cursor: str | None) -> Call[Json]:
    return Call("GET", "/v1/items", _document, {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor}))


def similar_items(item_id: str, k: int) -> Call[Json]:
    return Call("GET", f"/v1/items/{_id(item_id)}/similar", _document, {"k": str(k)})


def shelf(name: Shelf, k: int, conditions: Mapping[str, str]) -> Call[Json]:
    return Call("GET", f"/v1/items/{name}", _document, {"k": str(k), **conditions})


def put_items(items: Iterable[Mapping[str, Any]], wait: bool = False) -> Call[Accepted]:
    lines = "\n".join(json.dumps(dict(item), ensure_ascii=False) for item in items)
    params = {"wait": "applied"} if wait else {}
    return Call("POST", "/v1/items/bulk", _reads(Accepted), params, **_body(lines.encode(), "application/x-ndjson"))


def get_user(user_id: str, pairs: bool) -> Call[Json]:
    return Call("GET", f"/v1/users/{_id(user_id)}", _document, {"pairs": "true"} if pairs else {})


def set_personalised(user_id: str, personalised: bool) -> Call[Json]:
    content = json.dumps({"personalised": personalised}).encode()
    path = f"/v1/users/{_id(user_id)}/personalised"
    return Call("PUT", path, _document, **_body(content, "application/json"))


def profile(method: str, user_id: str, edits: Mapping[str, Any] | None = None) -> Call[Json]:
    """POST asks for a refresh."""
    path = f"/v1/users/{_id(user_id)}/profile" + ("/refresh" if method == "POST" else "")
    body = {} if edits is None else _body(json.dumps(edits, ensure_ascii=False).encode(), "application/json")
    return Call(method, path, _document, **body)


def erase_user(user_id: str) -> Call[Json]:
    return Call("DELETE", f"/v1/users/{_id(user_id)}", _document)


def get_erasure(erasure_id: str) -> Call[Json]:
    return Call("GET", f"/v1/erasures/{_id(erasure_id)}", _document)


def export_user(user_id: str) -> str:
    """The path alone: the answer is a stream."""
    return f"/v1/users/{_id(user_id)}/export"


def get(path: str) -> Call[Json]:
    return Call("GET", path, _document)


def any_of(method: str, path: str, body: Mapping[str, Any] | None) -> Call[Json]:
    packed = {} if body is None else _body(json.dumps(body, ensure_ascii=False).encode(), "application/json")
    return Call(method, path, _document_or_nothing, **packed)


def ready() -> Call[Status]:
    return Call("GET", "/readyz", _status)


def metrics() -> Call[str]:
    return Call("GET", "/metrics", _text)
