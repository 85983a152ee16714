"""The language model behind HTTP: what it can do is found out, what goes wrong is told apart, nothing is paid twice."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from service.adapters.chat_endpoint import ChatEndpoint, Shape
from service.adapters.chat_profiler import LARGER, ChatProfiler
from service.adapters.http_endpoint import LONGEST_WAIT, HttpEndpoint, retry_after
from service.adapters.in_memory_profiles import InMemoryTokenBudget
from service.errors import AnswerRejected, BudgetSpent, EndpointRefused, EndpointUnavailable
from tests.profiles.endpoint import FakeEndpoint, Fault, describe
from tests.profiles.histories import RUNNER

pytestmark = pytest.mark.anyio
TIMEOUT = 20.0
MAX_TOKENS = 200


@pytest.fixture
def fake() -> Iterator[FakeEndpoint]:
    with FakeEndpoint() as endpoint:
        yield endpoint


class Line:
    """A profiler and what it leads to."""

    def __init__(self, fake: FakeEndpoint, timeout: float = TIMEOUT, limit: int = 10**9) -> None:
        self.fake = fake
        self.budget = InMemoryTokenBudget(limit)
        self.http = HttpEndpoint(fake.url, "s3cret-key", timeout, 8)
        self.endpoint = ChatEndpoint(self.http, "small", self.budget)
        self.profiler = ChatProfiler(self.endpoint, MAX_TOKENS)

    @property
    def spent(self) -> int:
        return sum(self.budget.used.values())


@pytest.fixture
async def line(fake: FakeEndpoint) -> AsyncIterator[Line]:
    found = Line(fake)
    yield found
    await found.http.aclose()


async def test_an_answer_becomes_four_facets(line: Line) -> None:
    found = await line.profiler.describe(RUNNER)
    assert found == describe(
        [{"title": item.title, "category": item.category, "brand": item.brand} for item in RUNNER.items]
    )
    [body] = line.fake.asked
    assert body["response_format"]["type"] == "json_schema"
    assert (body["model"], body["max_tokens"]) == ("small", MAX_TOKENS)


@pytest.mark.parametrize(
    ("shapes", "expected"), [((), Shape.PLAIN), (("json_object",), Shape.OBJECT), (("json_schema",), Shape.SCHEMA)]
)
async def test_the_shape_steps_down_and_is_remembered(line: Line, shapes: tuple[str, ...], expected: Shape) -> None:
    line.fake.shapes = shapes
    for _ in range(3):
        assert (await line.profiler.describe(RUNNER))["brand"] == ["Kestrel", "Wren"]
    assert line.endpoint._shape is expected
    before = len(line.fake.asked)
    line.fake.faults.append(Fault(429))
    with pytest.raises(EndpointUnavailable):
        await line.profiler.describe(RUNNER)
    await line.profiler.describe(RUNNER)
    assert len(line.fake.asked) == before + 1  # the first request was in the right shape
    assert line.endpoint._shape is expected


async def test_the_other_name_of_the_limit_is_learned(line: Line) -> None:
    line.fake.limit = "max_completion_tokens"
    for _ in range(2):
        await line.profiler.describe(RUNNER)
    assert [body["max_completion_tokens"] for body in line.fake.asked] == [MAX_TOKENS] * 2
    assert {body["response_format"]["type"] for body in line.fake.asked} == {"json_schema"}


async def test_an_answer_that_is_cut_off_is_asked_for_once_more_with_more_room(line: Line) -> None:
    line.fake.words_per_answer = MAX_TOKENS + 1  # it thinks for so long
    assert (await line.profiler.describe(RUNNER))["brand"]
    assert [body["max_tokens"] for body in line.fake.asked] == [MAX_TOKENS, LARGER * MAX_TOKENS]
    line.fake.words_per_answer = LARGER * MAX_TOKENS + 1
    with pytest.raises(AnswerRejected, match="longer than"):
        await line.profiler.describe(RUNNER)
    assert len(line.fake.asked) == 4


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault(content='{"interest": ["runn'), "no JSON object"),
        (Fault(content='{"interest": [1, 2]}'), "another shape: interest"),
        (Fault(content='{"interest": "running"}'), "another shape: interest"),
        (Fault(content='{"interest": ["running",}'), "no valid JSON"),
        (Fault(content="I cannot do that."), "no JSON object"),
        (Fault(body=b"<html>It works!</html>"), "no completion"),
        (Fault(body=b'{"choices": []}'), "no completion"),
        (Fault(body=b'{"error": {"message": "overloaded"}}'), "no completion"),
        (Fault(status=413), "status 413"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_this_users_trouble(line: Line, fault: Fault, why: str) -> None:
    line.fake.faults.append(fault)
    with pytest.raises(AnswerRejected, match=why) as caught:
        await line.profiler.describe(RUNNER)
    assert "runn" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("content", ["", "  \n", None])
async def test_an_empty_answer_is_asked_for_in_a_simpler_shape_which_is_not_kept(
    line: Line, content: str | None
) -> None:
    body = b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}'
    line.fake.faults.append(Fault(content=content) if content is not None else Fault(body=body))
    assert (await line.profiler.describe(RUNNER))["brand"]
    assert [asked["response_format"]["type"] for asked in line.fake.asked] == ["json_schema", "json_object"]
    await line.profiler.describe(RUNNER)
    assert line.fake.asked[-1]["response_format"]["type"] == "json_schema"


async def test_words_and_a_fence_around_the_answer_are_no_harm(line: Line) -> None:
    line.fake.faults.append(Fault(content='Sure!\n```json\n{"interest": ["running"], "note": "x"}\n```'))
    assert (await line.profiler.describe(RUNNER))["interest"] == ["running"]


@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        (Fault(429), None), (Fault(429, {"retry-after": "7"}), 7.0), (Fault(503, {"retry-after": "0.5"}), 0.5),
        (Fault(429, {"retry-after": "soon"}), None), (Fault(500), None), (Fault(529), None),
    ],
)  # fmt: skip
async def test_a_busy_endpoint_says_when_to_come_back(line: Line, fault: Fault, wait: float | None) -> None:
    line.fake.faults.append(fault)
    with pytest.raises(EndpointUnavailable) as caught:
        await line.profiler.describe(RUNNER)
    assert caught.value.retry_after == wait
    assert line.spent == 0


async def test_a_date_is_understood_and_an_absurd_wait_is_cut() -> None:
    assert 25 < (retry_after(formatdate(time.time() + 30, usegmt=True)) or 0) <= 30
    assert retry_after("999999") == LONGEST_WAIT
    assert retry_after("-5") == 0.0
    assert retry_after("nan") is None


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_key_and_money_are_somebody_elses_trouble(line: Line, status: int) -> None:
    line.fake.faults.append(Fault(status))
    with pytest.raises(EndpointRefused, match=str(status)):
        await line.profiler.describe(RUNNER)
    assert line.spent == 0


@pytest.mark.parametrize("fault", [Fault(drip=0.02), Fault(cut=40), Fault(cut=0)])
async def test_a_slow_drip_and_a_broken_connection_end(fake: FakeEndpoint, fault: Fault) -> None:
    line = Line(fake, timeout=1.0)
    line.fake.faults.append(fault)
    with pytest.raises(EndpointUnavailable):
        await line.profiler.describe(RUNNER)
    await line.http.aclose()
    assert line.spent > 0  # it may have been paid for


async def test_nobody_there_costs_nothing(fake: FakeEndpoint) -> None:
    line = Line(fake)
    line.http = HttpEndpoint("http://127.0.0.1:9/v1", None, TIMEOUT, 1)
    line.profiler = ChatProfiler(ChatEndpoint(line.http, "small", line.budget), MAX_TOKENS)
    with pytest.raises(EndpointUnavailable, match="not reached"):
        await line.profiler.describe(RUNNER)
    await line.http.aclose()
    assert line.spent == 0


async def test_what_a_call_can_cost_is_set_aside_and_what_it_did_cost_is_counted(line: Line) -> None:
    await line.profiler.describe(RUNNER)
    [body] = line.fake.asked
    once = line.spent
    assert len(str(body["messages"])) // 8 < once < len(str(body))
    line.budget.limit = once + 100  # less than the most that another call can cost
    with pytest.raises(BudgetSpent):
        await line.profiler.describe(RUNNER)
    assert (line.spent, len(line.fake.asked)) == (once, 1)


async def test_nothing_of_prompt_answer_or_key_is_logged(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    line.fake.faults.extend([Fault(), Fault(content="{broken"), Fault(429), Fault(cut=3)])
    for _ in range(4):
        try:
            await line.profiler.describe(RUNNER)
        except (AnswerRejected, EndpointUnavailable) as exc:
            logging.getLogger("test").warning("%s", exc)
    said = caplog.text
    for secret in ("Falcon", "Kestrel", "running", "shoes", "broken", "s3cret-key", "chat/completions"):
        assert secret not in said


def test_the_fake_refuses_what_servers_refuse(fake: FakeEndpoint) -> None:
    def post(**body: Any) -> int:
        return httpx.post(f"{fake.url}/chat/completions", json=body).status_code

    talk = [{"role": "user", "content": "[]"}]
    assert post(model="m", messages=talk, max_tokens=9) == 200
    assert post(model="m", max_tokens=9) == 400
    assert post(model="m", messages=talk, max_completion_tokens=9) == 400
    assert post(model="m", messages=talk, max_tokens=9, response_format={"type": "json_object"}) == 400
    fake.shapes = ()
    assert post(model="m", messages=talk, max_tokens=9, response_format={"type": "json_schema"}) == 400
