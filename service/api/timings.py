"""How long requests take, by route, and lists, by stage: histograms that Prometheus can add up over replicas."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

from service.core.histogram import Histogram

_NOWHERE = "none"
"""In place of the route where there is none: paths are the callers' words."""


class Timings:
    """Of one process. requests by method, route and status; stages of lists; lists by strategy and by dead stage."""

    def __init__(self) -> None:
        self._requests: defaultdict[tuple[str, str, str], Histogram] = defaultdict(Histogram)
        self._stages: defaultdict[str, Histogram] = defaultdict(Histogram)
        self._appends = Histogram()
        self._fresh = Histogram()
        self._lists: Counter[str] = Counter()
        self._dead: Counter[str] = Counter()

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """route: its template, None where the path leads nowhere. Labels are ours: there are not many, whoever asks."""
        known = method if route and status != HTTPStatus.METHOD_NOT_ALLOWED else _NOWHERE
        self._requests[known, route or _NOWHERE, str(status)].observe(seconds)

    def listed(self, strategy: str, degraded: Sequence[str]) -> None:
        self._lists[strategy] += 1
        self._dead.update(degraded)

    def staged(self, stages: Mapping[str, float]) -> None:
        """stages: seconds by stage, of lists that were made together."""
        for stage, seconds in stages.items():
            self._stages[stage].observe(seconds)

    def appended(self, seconds: float) -> None:
        """The log took so long to take a request's entries, and to flush them."""
        self._appends.observe(seconds)

    def shown(self, seconds: float) -> None:
        """An event took so long from the end of the append to this replica's lists."""
        self._fresh.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        requests = HistogramMetricFamily(
            "peregrine_request_seconds", "Seconds from a request to the end of its answer.",
            labels=["method", "route", "status"],
        )  # fmt: skip
        for labels, histogram in self._requests.items():
            requests.add_metric(labels, histogram.buckets(), histogram.total)
        yield requests
        stages = HistogramMetricFamily("peregrine_stage_seconds", "Seconds of a list's stages.", labels=["stage"])
        for stage, histogram in self._stages.items():
            stages.add_metric([stage], histogram.buckets(), histogram.total)
        yield stages
        appends = "Seconds that the log took to append a request's entries, its flush included."
        yield _single("append_seconds", appends, self._appends)
        fresh = "Seconds from an event in the log to lists that show it; one event at a time is looked at."
        yield _single("freshness_seconds", fresh, self._fresh)
        yield _counter("lists", "Answered lists, by how they were made.", "strategy", self._lists)
        yield _counter("degraded_lists", "Answered lists that did without a dead stage.", "stage", self._dead)


def _single(name: str, says: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(f"peregrine_{name}", says)
    family.add_metric([], histogram.buckets(), histogram.total)
    return family


def _counter(name: str, says: str, label: str, counted: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"peregrine_{name}", says, labels=[label])
    for value, count in counted.items():
        family.add_metric([value], count)
    return family
