"""Requests that are under way at the same time share their work: one round trip for their users, one embedding.

Nobody waits for company. A read takes along whoever came while the one before was under way and its lists were made; an
embedding those who are ready in the same turn of the event loop, and that is who was read together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

MOST = 32
"""Questions answered together: few enough that others get their turn soon."""


TURNS = 3
"""Of the event loop between two calls, in which those who were answered go on first: more come meanwhile, and share."""


class Together(Generic[Q, A]):
    """Answers many questions by one call, `most` of them at once. If that fails, each is asked alone, so that one
    cannot spoil the others."""

    def __init__(self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], most: int = MOST) -> None:
        self._answer = answer
        self._most = most
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """Raises what answering this question alone raises."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())  # begins when all that are ready now have asked
        return await future

    async def _work(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            await self._tell(some)
            for _ in range(TURNS):
                await asyncio.sleep(0)

    async def _tell(self, some: Sequence[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            answers = await self._answer([question for question, _ in some])
        except Exception as exc:
            if len(some) > 1:
                for one in some:
                    await self._tell([one])
            elif not some[0][1].done():
                some[0][1].set_exception(exc)
            return
        for (_, future), answer in zip(some, answers, strict=True):
            if not future.done():  # whoever asked may have gone
                future.set_result(answer)
