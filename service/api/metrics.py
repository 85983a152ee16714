"""GET /metrics, for a Prometheus server.

What this process has answered is counted here (`counts`). What others count is read from the stores at each scrape, so
that every replica says the same: lag, late and skipped records, the writer's epoch. A store that does not answer is 0
in `peregrine_store_up`, and what only it can say is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from service.api.services import ApiServices, services_of
from service.core.types import Backlog, Totals
from service.errors import StoreUnavailable
from service.live_evaluation import GAPS, LiveEvaluation
from service.profile_ports import MET, MET_AGE, MET_DESCRIBED, OUTCOMES, Waiting

router = APIRouter(tags=["operations"])

PATH = "/metrics"
_EXAMPLE = "# HELP peregrine_lag Log records that wait to be applied.\n# TYPE peregrine_lag gauge\nperegrine_lag 0.0\n"

_FIGURES = {
    "bytes_per_item": "Memory that this replica's index takes for an item.",
    "recall": "Share of the true Top-100 that searches find, measured on queries of late.",
    "lists_read": "Share of the inverted lists that a search reads.",
}

T = TypeVar("T")


@router.get(
    PATH,
    summary="What Prometheus collects",
    response_class=PlainTextResponse,
    response_description="Prometheus text format 0.0.4; each metric says what it is.",
    responses={200: {"content": {"text/plain": {"example": _EXAMPLE}}}},
)
async def get_metrics(request: Request) -> PlainTextResponse:
    """Counters of this replica, and gauges of the service. Guarded like /v1 when it can be reached from outside."""
    services = services_of(request)
    totals, backlog, profiles = await asyncio.gather(
        _asked(_totals(services)), _asked(services.log.backlog()), _asked(_profiles(services))
    )
    return PlainTextResponse(
        generate_latest(Scrape(services, backlog, totals, profiles)), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4}
    )


async def _totals(services: ApiServices) -> Totals:
    return await services.reader.totals()


@dataclass(frozen=True)
class Profiles:
    """Of the profile path: who waits, what was counted, today's tokens."""

    waiting: Waiting
    counted: Mapping[str, int]
    tokens: int


async def _profiles(services: ApiServices) -> Profiles:
    queue = services.profiles
    return Profiles(await queue.waiting(), await queue.counted(), await services.budget.spent())


async def _asked(answer: Awaitable[T]) -> T | None:
    try:
        return await answer
    except StoreUnavailable:
        return None


@dataclass(frozen=True)
class Scrape:
    """One moment's metrics. backlog, totals, profiles: None if their store does not answer."""

    services: ApiServices
    backlog: Backlog | None
    totals: Totals | None
    profiles: Profiles | None

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks for them."""
        yield from self._counted()
        yield from self.services.timings.collect()
        yield from self._replica()
        if self.services.evaluation is not None:
            yield from _evaluated(self.services.evaluation, self.services.model.spec.mean_log_gap)
        up = GaugeMetricFamily("peregrine_store_up", "1 if the store answers.", labels=["store"])
        up.add_metric(["log"], self.backlog is not None)
        up.add_metric(["state"], self.totals is not None)
        yield up
        if self.totals:
            yield from _state(self.totals)
        if self.profiles:
            yield from _profiled(self.profiles, self.services.settings.chat_daily_tokens)
        if self.backlog:
            yield from self._log(self.backlog)

    def _counted(self) -> Iterator[Metric]:
        counts = self.services.counts
        yield _counter("accepted", "Entries taken into the log.", ["kind"], _alone(counts.accepted))
        yield _counter("duplicates", "Entries with an event_id known before.", ["kind"], _alone(counts.duplicates))
        yield _counter("rejected", "Entries refused for themselves.", ["kind", "reason"], counts.rejected.items())
        shown = "Answered lists that were kept, events that counted for one, and either that a busy store lost."
        yield _counter("attribution", shown, ["what"], _alone(self.services.attribution.counts))
        yield _counter("refused_requests", "Requests the log took nothing of.", ["reason"], _alone(counts.refused))

    def _replica(self) -> Iterator[Metric]:
        replica = self.services.replica
        yield _gauge("ready", "1 if this replica's items are loaded and followed.", not replica.reasons)
        yield _gauge("items", "Items in this replica's index.", len(replica.index.ids))
        for name, figure in replica.index.figures.items():
            yield _gauge(f"index_{name}", _FIGURES[name], figure)
        yield _gauge("index_offset", "Offset up to which this replica's items are.", replica.index.position.offset)

    def _log(self, backlog: Backlog) -> Iterator[Metric]:
        applied = self.totals.offset if self.totals else backlog.applied
        yield _gauge("log_end_offset", "Offset of the log's newest record.", backlog.end)
        yield _gauge("lag", "Log records that wait to be applied.", max(0, backlog.end - applied))
        yield _gauge("max_lag", "Lag above which nothing more is taken.", self.services.settings.max_lag)
        yield _gauge("memory_pressure", "1 if nothing is taken because a store is nearly full.", bool(backlog.pressure))


def _evaluated(found: LiveEvaluation, trained_gap: float) -> Iterator[Metric]:
    """Divide by `live_evaluated`, or by `live_gaps`, over any span of time."""
    labels = ["contender"]
    looked = "Events looked for in the list of their user before they were taken, by what made the list."
    yield _counter("live_evaluated", looked, labels, _alone(found.evaluated))
    yield _counter("live_recall", "Of these, those among the first 20.", labels, _alone(found.recall))
    yield _counter("live_ndcg", "Sum of their NDCG@10.", labels, _alone(found.ndcg))
    yield CounterMetricFamily("peregrine_live_events", "Events that came in, evaluated or not.", found.events)
    yield CounterMetricFamily("peregrine_live_new_items", "Of these, with an item not known before.", found.new_items)
    yield CounterMetricFamily("peregrine_live_gaps", "Evaluated events with an event of the user before.", found.gaps)
    yield CounterMetricFamily("peregrine_live_log_gap", "Sum of log(1 + seconds) since those before.", found.log_gaps)
    counts = zip((*GAPS, "+Inf"), accumulate(found.gap_counts), strict=True)
    yield HistogramMetricFamily(
        "peregrine_live_gap_seconds",
        "Seconds between evaluated events and those before of the same user.",
        buckets=[(str(bound), float(count)) for bound, count in counts],
        sum_value=found.gap_seconds,
    )
    yield _gauge("trained_log_gap", "Its mean in the training data of the model.", trained_gap)


def _state(totals: Totals) -> Iterator[Metric]:
    yield _gauge("applied_offset", "Offset up to which the state is.", totals.offset)
    yield _gauge("writer_epoch", "Epoch of the state's writer; it grows with every change of the leader.", totals.epoch)
    late = "Events applied out of order: with a timestamp behind the newest one before them."
    yield CounterMetricFamily("peregrine_late_events", late, totals.late)
    skipped = "Log records that could not be applied and were left out."
    yield CounterMetricFamily("peregrine_skipped_records", skipped, totals.skipped)


def _profiled(profiles: Profiles, limit: int) -> Iterator[Metric]:
    counted, waiting = (
        profiles.counted,
        GaugeMetricFamily("peregrine_profile_queue", "Users by what their profile waits for.", labels=["state"]),
    )
    for state, users in asdict(profiles.waiting).items():
        waiting.add_metric([state], users)
    yield waiting
    outcomes = ((((outcome,), counted.get(outcome, 0))) for outcome in OUTCOMES)
    yield _counter("profile_refreshes", "Users whose profile was due, by what became of it.", ["outcome"], outcomes)
    yield _gauge("profile_tokens_today", "Tokens of the day (UTC) that are spent or set aside.", profiles.tokens)
    yield _gauge("profile_tokens_limit", "Tokens that may be spent in a day.", limit)
    met = "Active users, as the profiler meets them in the log."
    yield CounterMetricFamily("peregrine_profile_users_met", met, counted.get(MET, 0))
    age = "Seconds since the profiles of active users were made, when the profiler meets these users."
    summed = (counted.get(MET_DESCRIBED, 0), counted.get(MET_AGE, 0))
    yield SummaryMetricFamily("peregrine_profile_age_seconds", age, *summed)


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(f"peregrine_{name}", says, value)


def _alone(counted: Mapping[Any, float]) -> Iterator[tuple[Sequence[str], float]]:
    """Counts by one label each."""
    return (((value,), count) for value, count in counted.items())


def _counter(name: str, says: str, labels: list[str], counted: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = CounterMetricFamily(f"peregrine_{name}", says, labels=labels)
    for values, count in counted:
        family.add_metric(values, count)
    return family
