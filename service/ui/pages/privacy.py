"""Privacy: what is stored on a person, and what they may want done about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from nicegui import ui

from service.client import Json, NotFound, calls
from service.ui.pages.about import FACETS, choose, facts, recent
from service.ui.parts import Tag, button, card, copy_curl, empty, field, fill, guarded, link
from service.ui.titles import Titles
from service.ui.visit import Visit

_POLL_SECONDS = 1.0


async def build(visit: Visit, query: Mapping[str, str]) -> None:
    """`?user=` names the person."""
    user = query.get("user", "")
    Tag("h1", "", visit.t("nav.privacy"))
    Tag("p", "lead", visit.t("privacy.lead"))
    choose(visit, user, "/privacy")
    if not user:
        empty(visit.t("users.nobody"), visit.t("privacy.nobody_hint"))
        return
    page = _Person(visit, user, Tag("div", "grid"))
    await fill(visit, page.place, page.build)


class _Person:
    def __init__(self, visit: Visit, user: str, place: Tag) -> None:
        self.visit = visit
        self.user = user
        self.place = place

    async def build(self) -> None:
        visit, service = self.visit, self.visit.service
        try:
            known = await service.get_user(self.user)
        except NotFound:
            empty(visit.t("privacy.nothing"), visit.t("privacy.nothing_hint"))
            return
        described = await self._described()
        names = await Titles(service).of(slot["item_id"] for slot in known["neighbours"])
        with card(visit.t("privacy.stored")):
            facts(visit, known)
            recent(visit, known, names)
            with Tag("p", "row"):
                link("/export", visit.t("privacy.export"), "button primary", user=self.user).props["download"] = ""
                copy_curl(visit, calls.get(calls.export_user(self.user)), visit.t("privacy.export"))
        with card(visit.t("privacy.profile")):
            self._profile(known, described)
        with card(visit.t("privacy.switch")):
            self._switch(known)
        with card(visit.t("privacy.erase")):
            self._erase()

    async def _described(self) -> Json | None:
        try:
            return await self.visit.service.get_profile(self.user)
        except NotFound:
            return None

    async def _again(self) -> None:
        await fill(self.visit, self.place, self.build)

    def _then_again(self, act: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        async def acting() -> None:
            await act()
            ui.notify(self.visit.t("common.done"), type="positive", position="top")
            await self._again()

        return guarded(self.visit, acting)

    def _profile(self, known: Json, described: Json | None) -> None:
        """Each facet can be put right, or silenced."""
        visit = self.visit
        if not known["personalised"]:
            empty(visit.t("profile.off"), visit.t("profile.off_hint"))
            return
        boxes: dict[str, tuple[ui.input, ui.checkbox]] = {}
        made: dict[str, str] = {}
        for name in FACETS:
            facet = described["facets"][name] if described else {"phrases": [], "status": "made"}
            made[name] = ", ".join(facet["phrases"]) if facet["status"] == "made" else ""
            with Tag("div", "facet-edit"):
                box = field(visit.t(f"facet.{name}"), ", ".join(facet["phrases"]), "grow")
                block = ui.checkbox(visit.t("profile.block"), value=facet["status"] == "blocked")
            boxes[name] = (box, block)

        async def save() -> None:
            await visit.service.edit_profile(self.user, _edits(boxes, made))

        async def reset() -> None:
            await visit.service.reset_profile(self.user)

        Tag("p", "note", visit.t("profile.hint"))
        with Tag("p", "row"):
            button(visit.t("common.save"), self._then_again(save), "primary")
            copy_curl(visit, calls.profile("PUT", self.user, _edits(boxes, made)), visit.t("common.save"))
            button(visit.t("profile.reset"), self._then_again(reset))
            copy_curl(visit, calls.profile("DELETE", self.user), visit.t("profile.reset"))

    def _switch(self, known: Json) -> None:
        visit, on = self.visit, bool(known["personalised"])
        state = "on" if on else "off"
        Tag("p", "", visit.t(f"privacy.is_{state}"))
        label = visit.t("privacy.turn_off" if on else "privacy.turn_on")

        async def turn() -> None:
            await visit.service.set_personalised(self.user, not on)

        with Tag("p", "row"):
            button(label, self._then_again(turn), "danger" if on else "primary")
            copy_curl(visit, calls.set_personalised(self.user, not on), label)

    def _erase(self) -> None:
        """Asks for the id once more, since nothing brings the data back."""
        visit = self.visit
        Tag("p", "", visit.t("privacy.erase_hint"))
        again = field(visit.t("privacy.type", user=self.user), classes="grow")
        status = Tag("p", "note", "", role="status", id="erasure")

        async def erase() -> None:
            if again.value != self.user:
                status.text = visit.t("privacy.differs")
                return
            begun = await visit.service.erase_user(self.user)
            _follow(visit, begun["erasure_id"], status)

        with Tag("p", "row"):
            button(visit.t("privacy.erase_now"), guarded(visit, erase), "danger")
            copy_curl(visit, calls.erase_user(self.user), visit.t("privacy.erase_now"))


def _edits(boxes: dict[str, tuple[ui.input, ui.checkbox]], made: dict[str, str]) -> Json:
    """What differs from what was made."""
    override: dict[str, list[str]] = {}
    block = [name for name, (_, blocked) in boxes.items() if blocked.value]
    for name, (box, blocked) in boxes.items():
        phrases = [phrase for part in str(box.value or "").split(",") if (phrase := part.strip())]
        if phrases and not blocked.value and ", ".join(phrases) != made.get(name):
            override[name] = phrases
    return {"override": override, "block": block}


def _follow(visit: Visit, erasure_id: str, status: Tag) -> None:
    """Says how far an erasure is, until it is complete."""

    async def look() -> None:
        erasure = await visit.service.get_erasure(erasure_id)
        status.text = f"{visit.t('privacy.' + erasure['status'])} ({erasure_id})"
        if erasure["status"] == "complete":
            timer.cancel()

    status.text = visit.t("privacy.pending")
    with status:
        timer = ui.timer(_POLL_SECONDS, guarded(visit, look))
