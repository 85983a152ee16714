"""Live: a user, things to click, and the list that follows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from nicegui import background_tasks
from nicegui.events import GenericEventArguments

from service.client import ClientError
from service.ui.pages.live_person import Person
from service.ui.pages.live_things import Things
from service.ui.parts import NOTHING, Tag, card, complain, copy_curl, link, problem
from service.ui.ranking import Ranking
from service.ui.story import Story, Turn, invented
from service.ui.titles import Titles
from service.ui.visit import Visit


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    """The page; `?user=` names the user."""
    user = query.get("user") or (visit.users[0] if visit.users else "ada")
    titles = Titles(visit.service)
    live = Live(visit, Story(visit.service, user), titles)
    Tag("h1", "", visit.t("live.title"))
    Tag("p", "lead", visit.t("live.lead"))
    live.who()
    with Tag("div", "live"):
        await Things(visit, titles, live.act).build()
        live.middle()
        live.person.build()
    await live.begin()


KINDS = ("popularity", "again", "anyone", "memory", "item", "facet", "rest")
"""Parts of a score that the legend names."""


@dataclass
class Live:
    """The list and what stands around it."""

    visit: Visit
    story: Story
    titles: Titles
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.person = Person(self.visit, self.story)

    def who(self) -> None:
        """Whose list it is, and how to take another user."""
        visit = self.visit
        with Tag("form", "who", action="/", method="get", role="search", aria_label=visit.t("live.who")):
            Tag("label", "", visit.t("live.user"), for_="user")
            Tag("input", "", id="user", name="user", value=self.story.user, maxlength="256", autocomplete="off")
            Tag("button", "button primary", visit.t("live.take"), type="submit")
            Tag("a", "button", visit.t("live.invent"), href=f"/?user={invented()}")
            with Tag("span", "offered"):
                for user in visit.users:
                    link("/", user, "chip", user=user)

    def middle(self) -> None:
        """The list, how fast it followed, and the requests behind it."""
        visit = self.visit
        with card(visit.t("live.list"), "list"):
            with Tag("div", "reaction", aria_live="polite"):
                self._reaction = Tag("span", "stat-value", NOTHING, id="reaction")
                self._reaction_note = Tag("span", "stat-note", visit.t("live.not_yet"))
            self._strategy = Tag("p", "note", "")
            self._trouble = Tag("div")
            with Tag("p", "legend"):
                for kind in KINDS:
                    with Tag("span"):
                        Tag("i", f"part-{kind}", aria_hidden="true")
                        Tag("span", "", visit.t(f"legend.{kind}"))
            words = {"list": visit.t("live.list"), "why": visit.t("live.why"), "none": visit.t("live.no_reason")}
            self._ranking = Ranking(words)
            self._ranking.on("shown", self._shown)
            self._requests = Tag("div", "row")

    async def begin(self) -> None:
        """The first list."""
        try:
            await self._show(await self.story.begin())
        except ClientError as exc:
            with self._trouble:
                problem(self.visit, exc, self._again)
            return
        background_tasks.create(self._after())

    async def _again(self) -> None:
        self._trouble.clear()
        await self.begin()

    async def act(self, item_id: str, kind: str) -> None:
        """One event after the other: a list always follows from the events before it."""
        async with self._one:
            try:
                turn = await self.story.act(item_id, kind)
                await self._show(turn)
            except ClientError as exc:
                self._ranking.run_method("forget")
                complain(self.visit, exc)
                return
        background_tasks.create(self._after())

    async def _show(self, turn: Turn) -> None:
        answer, visit = turn.answer, self.visit
        reasons = [item.reason for item in answer.items]
        named = {name for reason in reasons if reason for name in reason.get("items", {})}
        known = await self.titles.of([*(item.item_id for item in answer.items), *named])
        self._ranking.show(visit, turn, known)
        self._strategy.text = " · ".join(
            [
                visit.t(f"strategy.{answer.strategy}"),
                f"{visit.t('live.model')} {answer.model.version}",
                *answer.degraded,
            ]
        )
        if turn.posted:
            self._reaction_note.text = visit.t(
                "live.parts", post=f"{1000 * turn.posted:.0f}", get=f"{1000 * turn.listed:.0f}"
            )

    async def _after(self) -> None:
        """What may come a moment later than the list."""
        self._requests.clear()
        with self._requests:
            Tag("span", "note", self.visit.t("live.requests"))
            if event := self.story.event_call():
                copy_curl(self.visit, event, self.visit.t("live.event"))
            copy_curl(self.visit, self.story.list_call(), self.visit.t("live.list"))
        await self.person.refresh()

    def _shown(self, event: GenericEventArguments) -> None:
        """The browser says how long it took from the click to the frame with the new list."""
        self._reaction.text = self.visit.t("live.milliseconds", n=f"{float(event.args):.0f}")
