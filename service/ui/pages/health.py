"""Health: is it ready, how far behind, how fast, how full. Looked at every two seconds while somebody looks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from nicegui import ui

from service.client import ClientError, calls
from service.client.answers import Status
from service.ui.parts import NOTHING, Spark, Tag, card, copy_curl, empty, problem, table
from service.ui.scrape import Labels, Number, Scrape, read
from service.ui.visit import Visit

SECONDS = 2.0
RATES = {
    "requests": "peregrine_request_seconds_count",
    "events": "peregrine_accepted_total",
    "refused": "peregrine_refused_requests_total",
}
_NAMED = {"lag", "freshness", "took", "items", "tokens", *RATES}
_KEPT = 60
_MEGABYTE = 1e6


async def build(visit: Visit, _: Mapping[str, str]) -> None:
    """Numbers first, every metric below."""
    Tag("h1", "", visit.t("nav.health"))
    Tag("p", "lead", visit.t("health.lead"))
    health = Health(visit)
    health.build()
    await health.look()
    ui.timer(SECONDS, health.look, immediate=False)


@dataclass(frozen=True)
class Look:
    """What one look found. took: seconds that /readyz took, seen from here."""

    ready: Status
    took: float
    scrape: Scrape


@dataclass(frozen=True)
class Box:
    """A number with the line of its last values."""

    number: Tag
    spark: Spark
    kept: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def put(self, value: float | None, shown: str) -> None:
        self.number.text = NOTHING if value is None else shown
        if value is not None:
            self.kept.append(value)
            self.spark.show(self.kept)


class Health:
    """Changes numbers where they stand, so that nobody loses their place; builds anew only what there is more of."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self._before: Scrape | None = None
        self._boxes: dict[str, Box] = {}
        self._cells: dict[tuple[object, ...], Tag] = {}
        self._latencies: object = None

    def build(self) -> None:
        """The places, still empty."""
        with Tag("div", "health"):
            self._state = Tag("div", "", "", role="status")
            self._stats = Tag("div", "stats wide")
            with card(self.visit.t("health.latency")):
                self._latency = Tag("div")
            with card(self.visit.t("health.all")):
                self._all = Tag("div")
                copy_curl(self.visit, calls.metrics())

    async def look(self) -> None:
        """Asks, and shows what is said."""
        try:
            begun = time.perf_counter()
            ready = await self.visit.service.ready()
            took = time.perf_counter() - begun
            scrape = read(await self.visit.service.metrics(), time.monotonic())
        except ClientError as exc:
            self._state.clear()
            with self._state:
                problem(self.visit, exc)
            return
        self._show_state(ready)
        for name, value, shown in _numbers(Look(ready, took, scrape), self._before):
            self._box(name).put(value, shown(value or 0.0))
        self._show_latency(scrape)
        self._show_all(scrape)
        self._before = scrape

    def _show_state(self, ready: Status) -> None:
        visit, body = self.visit, ready.body
        self._state.clear()
        with self._state, Tag("p", f"state {'good' if ready.ok else 'bad'}"):
            Tag("strong", "", visit.t("health.ready" if ready.ok else "health.not_ready"))
            if not ready.ok:
                Tag("span", "", str(body.get("detail") or ""))
            if body.get("refusing"):
                Tag("span", "", visit.t("health.refusing", why=body["refusing"]))

    def _box(self, name: str) -> Box:
        if name not in self._boxes:
            label = self.visit.t(f"health.{name}") if name in _NAMED else name
            with self._stats, Tag("div", "stat-box"):
                Tag("div", "stat-label", label)
                self._boxes[name] = Box(Tag("div", "stat-value", ""), Spark(label))
        return self._boxes[name]

    def _show_latency(self, scrape: Scrape) -> None:
        rows = [(name, _labels(labels), *_quantiles(scrape, name, labels)) for name, labels in scrape.histograms()]
        if rows == self._latencies:
            return
        self._latencies = rows
        visit = self.visit
        self._latency.clear()
        with self._latency:
            if rows:
                heads = [visit.t("column.metric"), visit.t("column.labels"), "p50", "p99"]
                table(visit.t("health.latency"), heads, rows)
            else:
                empty(visit.t("health.no_latency"), visit.t("health.no_latency_hint"))

    def _show_all(self, scrape: Scrape) -> None:
        numbers = {(n.name, n.labels): n for n in scrape.numbers if not n.name.endswith("_bucket")}
        if numbers.keys() != self._cells.keys():
            self._cells = {}
            self._all.clear()
            with self._all:
                heads = [self.visit.t(f"column.{name}") for name in ("metric", "labels", "value", "says")]
                table(self.visit.t("health.all"), heads, [self._row(number) for number in numbers.values()])
        for key, number in numbers.items():
            self._cells[key].text = f"{number.value:g}"

    def _row(self, number: Number) -> tuple[str, str, Callable[[], object], str]:
        def value() -> None:
            self._cells[number.name, number.labels] = Tag("span")

        return number.name, _labels(number.labels), value, number.says


def _numbers(look: Look, before: Scrape | None) -> Iterator[tuple[str, float | None, Callable[[float], str]]]:
    """Name, value and how it is written, of what matters most."""
    scrape = look.scrape
    yield "lag", scrape.value("peregrine_lag"), "{:.0f}".format
    fresh = scrape.quantile("peregrine_freshness_seconds", 0.99)
    yield "freshness", None if fresh is None else 1000 * fresh, "p99 \N{LESS-THAN OR EQUAL TO} {:g} ms".format
    for name, metric in RATES.items():
        rate = scrape.rate(metric, before) if scrape.value(metric) is not None else 0.0
        yield name, rate, "{:.1f}/s".format
    yield "took", 1000 * look.took, "{:.1f} ms".format
    yield "items", scrape.value("peregrine_items"), "{:,.0f}".format
    if limit := scrape.value("peregrine_profile_tokens_limit"):
        yield "tokens", scrape.value("peregrine_profile_tokens_today"), f"{{:,.0f}} / {limit:,.0f}".format
    for number in scrape.numbers:
        if "memory" in number.name and number.name.endswith("_bytes"):
            named = " ".join([number.name.removeprefix("peregrine_"), _labels(number.labels)]).strip()
            yield named, number.value / _MEGABYTE, "{:,.1f} MB".format


def _quantiles(scrape: Scrape, name: str, labels: Labels) -> list[str]:
    bounds = [scrape.quantile(name, q, labels) for q in (0.5, 0.99)]
    return [NOTHING if bound is None else f"\N{LESS-THAN OR EQUAL TO} {bound:g}" for bound in bounds]


def _labels(labels: Labels) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels)
