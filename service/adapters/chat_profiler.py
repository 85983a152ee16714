"""Profiles by a language model behind any OpenAI-style `/chat/completions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from service.adapters.chat_endpoint import ChatEndpoint, Completion
from service.errors import AnswerRejected
from service.profile_path import prompt
from service.profile_ports import History

LARGER = 3
"""Times as many tokens for an answer that was cut off."""


class Answer(BaseModel):
    """What the prompt asks for. A facet may be missing; another member is no harm."""

    model_config = ConfigDict(extra="ignore", strict=True)

    crowd: list[str] = []
    interest: list[str] = []
    category: list[str] = []
    brand: list[str] = []


class ChatProfiler:
    """`Profiler`. max_tokens: of an answer."""

    source = "chat"
    prompt = prompt.VERSION

    def __init__(self, endpoint: ChatEndpoint, max_tokens: int) -> None:
        self._endpoint = endpoint
        self._max_tokens = max_tokens

    @property
    def model(self) -> str:
        return self._endpoint.model

    async def describe(self, history: History) -> Mapping[str, Sequence[str]]:
        return _parse((await self._ask(history)).content)

    async def _ask(self, history: History) -> Completion:
        asked, shape = prompt.messages(history), prompt.schema(history)
        completion = await self._endpoint.complete(asked, shape, self._max_tokens)
        if completion.truncated:
            completion = await self._endpoint.complete(asked, shape, LARGER * self._max_tokens)
        if completion.truncated:
            raise AnswerRejected(f"the answer is longer than {LARGER * self._max_tokens} tokens")
        return completion


def _parse(content: str) -> dict[str, list[str]]:
    """The first JSON object in an answer: some models put words or a fence around it. Errors tell nothing of it."""
    start, end = content.find("{"), content.rfind("}")
    if not content.strip():
        raise AnswerRejected("the answer is empty")
    if start < 0 or end < start:
        raise AnswerRejected("the answer holds no JSON object")
    try:
        found: dict[str, Any] = from_json(content[start : end + 1])
        return Answer.model_validate(found).model_dump()
    except ValidationError as exc:
        wrong = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        member = wrong["loc"][0] if wrong["loc"] else "the whole"
        raise AnswerRejected(f"the answer has another shape: {member}: {wrong['type']}") from None
    except ValueError:
        raise AnswerRejected("the answer is no valid JSON") from None
