"""Health: is it ready, how far behind, how fast, how full. Looked at every two seconds while somebody looks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nicegui import ui

from service.client import ClientError, calls
from service.client.answers import Status
from service.ui.parts import NOTHING, Spark, Tag, card, copy_curl, empty, problem, stat, table
from service.ui.scrape import Number, Scrape, read
from service.ui.visit import Visit

SECONDS = 2.0
_KEPT = 60
RATES = {"events": "peregrine_accepted_total", "refused": "peregrine_refused_requests_total"}
_MEGABYTE = 1e6


async def build(visit: Visit, _: Mapping[str, str]) -> None:
    """Numbers first, every metric below."""
    Tag("h1", "", visit.t("nav.health"))
    Tag("p", "lead", visit.t("health.lead"))
    health = Health(visit, Tag("div", "health"))
    await health.look()
    ui.timer(SECONDS, health.look, immediate=False)


@dataclass(frozen=True)
class Look:
    """What one look found. took: seconds that /readyz took, seen from here."""

    ready: Status
    took: float
    scrape: Scrape


@dataclass
class Health:
    """Keeps the last looks for rates and lines."""

    visit: Visit
    place: Tag
    _before: Scrape | None = None
    _lines: dict[str, deque[float]] = field(default_factory=dict)

    async def look(self) -> None:
        """Asks, then builds anew."""
        try:
            begun = time.perf_counter()
            ready = await self.visit.service.ready()
            took = time.perf_counter() - begun
            scrape = read(await self.visit.service.metrics(), time.monotonic())
        except ClientError as exc:
            self.place.clear()
            with self.place:
                problem(self.visit, exc)
            return
        self.place.clear()
        with self.place:
            self._show(Look(ready, took, scrape))
        self._before = scrape

    def _show(self, look: Look) -> None:
        visit = self.visit
        ok, body = look.ready.ok, look.ready.body
        state = "health.ready" if ok else "health.not_ready"
        with Tag("p", f"state {'good' if ok else 'bad'}", role="status"):
            Tag("strong", "", visit.t(state))
            Tag("span", "", "" if ok else str(body.get("detail") or ""))
            Tag("span", "", visit.t("health.refusing", why=body["refusing"]) if body.get("refusing") else "")
        with Tag("div", "stats wide"):
            self._numbers(look)
        self._latencies(look.scrape)
        self._all(look.scrape)

    def _numbers(self, look: Look) -> None:
        scrape = look.scrape
        self._line("lag", scrape.value("peregrine_lag"), "{:.0f}".format)
        for name, metric in RATES.items():
            rate = scrape.rate(metric, self._before) if scrape.value(metric) is not None else 0.0
            self._line(name, rate, "{:.1f}/s".format)
        self._line("took", 1000 * look.took, "{:.1f} ms".format)
        self._line("items", scrape.value("peregrine_items"), "{:,.0f}".format)
        for number in scrape.numbers:
            if "memory" in number.name and number.name.endswith("_bytes"):
                self._line(_named(number), number.value / _MEGABYTE, "{:,.1f} MB".format)
            elif "freshness" in number.name and not number.counts:
                self._line(_named(number), 1000 * number.value, "{:.1f} ms".format)

    def _line(self, name: str, value: float | None, shown: Callable[[float], str]) -> None:
        known = f"health.{name}"
        label = self.visit.t(known) if name in _NAMED else name
        with Tag("div", "stat-box"):
            stat(label, NOTHING if value is None else shown(value), id=f"stat-{name}")
            if value is not None:
                kept = self._lines.setdefault(name, deque(maxlen=_KEPT))
                kept.append(value)
                Spark(kept, label)

    def _latencies(self, scrape: Scrape) -> None:
        visit = self.visit
        with card(visit.t("health.latency")):
            rows = []
            for name in scrape.histograms():
                bounds = [scrape.quantile(name, q) for q in (0.5, 0.99)]
                rows.append((name, *(NOTHING if bound is None else f"≤ {bound:g}" for bound in bounds)))
            if rows:
                table(visit.t("health.latency"), [visit.t("column.metric"), "p50", "p99"], rows)
            else:
                empty(visit.t("health.no_latency"), visit.t("health.no_latency_hint"))

    def _all(self, scrape: Scrape) -> None:
        visit = self.visit
        with card(visit.t("health.all")):
            heads = [visit.t(f"column.{name}") for name in ("metric", "labels", "value", "says")]
            rows = [(n.name, _labels(n), f"{n.value:g}", n.says) for n in scrape.numbers if not _is_part(n)]
            table(visit.t("health.all"), heads, rows)
            copy_curl(visit, calls.metrics())


_NAMED = {"lag", "events", "refused", "took", "items"}


def _is_part(number: Number) -> bool:
    """A bucket, which the quantiles stand for."""
    return number.name.endswith("_bucket")


def _labels(number: Number) -> str:
    return ", ".join(f"{name}={value}" for name, value in number.labels)


def _named(number: Number) -> str:
    return " ".join([number.name.removeprefix("peregrine_"), _labels(number)]).strip()
