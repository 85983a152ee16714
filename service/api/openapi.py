"""The OpenAPI document: request bodies that we read ourselves, problem+json as every error, the key."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from service.api.problems import MEDIA_TYPE, FieldError, ProblemBody
from service.core.access import scope_of

_REF = "#/components/schemas/{model}"
_FASTAPI_ERRORS = ("HTTPValidationError", "ValidationError")
_WHEN = {
    401: "The API key is missing or wrong.",
    403: "The API key has not the scope that `x-scope` names.",
    404: "There is none.",
    409: "`at` lies before the user's last event, or the user is switched off.",
    413: "The body is too large, before or after inflating.",
    415: "Neither JSON nor NDJSON, or an unknown content-encoding.",
    422: "Something in the request is wrong; `errors` names field and value.",
    429: "More requests than the API key may send; see Retry-After.",
    500: "An error of the service.",
    503: "A store does not answer, or too much is under way or waits to be applied; see Retry-After.",
}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(ref_template=_REF)


def one_body(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route that takes one object."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _schema(model)}}}}


def batch_body(model: type[BaseModel], description: str) -> dict[str, Any]:
    """`openapi_extra` of a route that takes one object, an array, or lines."""
    one = _schema(model)
    content = {
        "application/json": {"schema": {"anyOf": [one, {"type": "array", "items": one}]}, "example": one["examples"]},
        "application/x-ndjson": {"schema": one},
    }
    return {"requestBody": {"required": True, "description": description, "content": content}}


def install(app: FastAPI, guarded: bool) -> None:
    """Replaces the app's document by ours; guarded: whether callers need keys."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, guarded)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI documents this as the way


def _document(app: FastAPI, guarded: bool) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _FASTAPI_ERRORS:
        schemas.pop(name, None)
    schemas["Problem"] = _schema(ProblemBody) | {"$defs": None}
    del schemas["Problem"]["$defs"]
    schemas["FieldError"] = _schema(FieldError)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    _hoist(found["paths"], schemas)
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            _describe(operation, scope_of(method.upper(), path), guarded)
    return found


def _hoist(node: Any, schemas: dict[str, Any]) -> None:
    """Moves what the bodies that we read ourselves refer to to where the references look for it."""
    if isinstance(node, dict):
        schemas.update(node.pop("$defs", {}))
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _hoist(child, schemas)


def _describe(operation: dict[str, Any], scope: str | None, guarded: bool) -> None:
    responses = operation["responses"]
    if scope is not None:
        responses |= {"401": {}, "403": {}, "429": {}, "500": {}}
        operation["x-scope"] = scope
        operation["security"] = [{"bearer": []}, {"header": []}] if guarded else []
    for status in [status for status in responses if int(status) >= HTTPStatus.BAD_REQUEST]:
        responses[status] = {
            "description": _WHEN[int(status)],
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
        }
