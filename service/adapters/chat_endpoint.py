"""One OpenAI-style chat endpoint: what it can do is found out by asking, and remembered.

An answer's shape is asked for as strictly as the endpoint allows: by a JSON schema, as any JSON object, in words alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from service.adapters.http_endpoint import HttpEndpoint, Unreached, check
from service.errors import AnswerRejected
from service.profile_ports import TokenBudget

ENVELOPE = 64
"""Tokens that a conversation takes beside its texts, at most."""
_UNSUPPORTED = frozenset({400, 404, 415, 422, 501})  # what servers answer to a response_format they do not know


class Shape(IntEnum):
    """How the shape of an answer is asked for."""

    SCHEMA = 0
    OBJECT = 1
    PLAIN = 2


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Message(_Loose):
    content: str | None = None


class _Choice(_Loose):
    message: _Message
    finish_reason: str | None = None


class _Usage(_Loose):
    total_tokens: int = Field(0, ge=0)


class _Body(_Loose):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """truncated: it ends where the tokens did."""

    content: str
    truncated: bool


class ChatEndpoint:
    """budget: asked before each call for the most that it can cost."""

    def __init__(self, http: HttpEndpoint, model: str, budget: TokenBudget) -> None:
        self.model = model
        self._http = http
        self._budget = budget
        self._shape = Shape.SCHEMA
        self._limit = "max_tokens"
        self._worked = Shape.SCHEMA

    async def complete(self, messages: list[dict[str, str]], schema: dict[str, Any], max_tokens: int) -> Completion:
        """Steps down from the shape that is known to work until there is an answer. Raises what stands under
        ProfilerError."""
        shape = self._shape
        while True:
            response = await self._call(messages, schema, max_tokens, shape)
            if self._other_limit(response):
                continue
            refused = response.status_code in _UNSUPPORTED
            if not response.is_success and not (refused and shape < Shape.PLAIN):
                raise AnswerRejected(f"the endpoint refuses the request: status {response.status_code}")
            completion = None if refused else _read(response)
            if completion and (completion.content.strip() or completion.truncated or shape is Shape.PLAIN):
                self._remember(shape)
                return completion
            shape = Shape(shape + 1)

    def _remember(self, shape: Shape) -> None:
        """What worked, for the next call; only once it has worked twice in a row, so that a hiccup costs nothing."""
        if shape is self._worked:
            self._shape = shape
        self._worked = shape

    def _other_limit(self, response: httpx.Response) -> bool:
        """Some models want the tokens of their thoughts counted, and the limit under another name."""
        refused = response.status_code in _UNSUPPORTED and "max_completion_tokens" in response.text
        if not refused or self._limit == "max_completion_tokens":
            return False
        self._limit = "max_completion_tokens"
        return True

    async def _call(
        self, messages: list[dict[str, str]], schema: dict[str, Any], max_tokens: int, shape: Shape
    ) -> httpx.Response:
        body: dict[str, Any] = {"model": self.model, "messages": messages, self._limit: max_tokens, "stream": False}
        if shape is Shape.SCHEMA:
            wanted = {"name": "profile", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        elif shape is Shape.OBJECT:
            body["response_format"] = {"type": "json_object"}
        content = to_json(body)
        most = len(content) + ENVELOPE + max_tokens  # no tokenizer makes more tokens than there are bytes
        day = await self._budget.reserve(most)
        try:
            response = await self._http.post("/chat/completions", content)
        except Unreached:
            await self._budget.settle(day, most)
            raise
        if surplus := most - _tokens(response, most):
            await self._budget.settle(day, surplus)
        check(response)
        return response


def _tokens(response: httpx.Response, most: int) -> int:
    """What a call has cost; nothing, if it was refused."""
    if not response.is_success:
        return 0
    try:
        usage = _Body.model_validate_json(response.content).usage
    except ValidationError:
        return most
    return usage.total_tokens if usage is not None and usage.total_tokens else most


def _read(response: httpx.Response) -> Completion:
    try:
        choice = _Body.model_validate_json(response.content).choices[0]
    except ValidationError:
        raise AnswerRejected("the endpoint answers 200 and no completion") from None
    return Completion(choice.message.content or "", choice.finish_reason == "length")
