"""What /metrics says, as numbers to show. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""


@dataclass(frozen=True, slots=True)
class Number:
    """One sample. counts: a number that only grows."""

    name: str
    labels: Labels
    value: float
    says: str
    counts: bool


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer. at: monotonic seconds."""

    at: float
    numbers: tuple[Number, ...]

    def value(self, name: str) -> float | None:
        """The sum over all labels of a metric; None if there is no such metric."""
        found = [number.value for number in self.numbers if number.name == name]
        return sum(found) if found else None

    def rate(self, name: str, before: Scrape | None) -> float | None:
        """Growth a second since `before`; None where either does not say, or a counter began anew."""
        if before is None or self.at <= before.at:
            return None
        now, then = self.value(name), before.value(name)
        return None if now is None or then is None or now < then else (now - then) / (self.at - before.at)

    def quantile(self, name: str, q: float, labels: Labels | None = None) -> float | None:
        """The upper bound of the bucket of a histogram that its quantile q lies in; over all labels, or of these."""
        counts: dict[float, float] = {}
        for number in self.numbers:
            if number.name == f"{name}_bucket" and labels in {None, _rest(number.labels)}:
                bound = float(dict(number.labels)["le"])
                counts[bound] = counts.get(bound, 0.0) + number.value
        total = counts.get(float("inf"), 0.0)
        return next((bound for bound in sorted(counts) if total and counts[bound] >= q * total), None)

    def histograms(self) -> list[tuple[str, Labels]]:
        """Names of the histograms that have counted something, with each of their labels."""
        full = (n for n in self.numbers if n.name.endswith("_bucket") and n.value and ("le", "+Inf") in n.labels)
        return [(number.name.removesuffix("_bucket"), _rest(number.labels)) for number in full]


def _rest(labels: Labels) -> Labels:
    return tuple(label for label in labels if label[0] != "le")


def read(text: str, at: float) -> Scrape:
    """Raises ValueError for what is no metrics text."""
    numbers = [
        Number(
            sample.name,
            tuple(sorted(sample.labels.items())),
            float(sample.value),
            family.documentation,
            family.type in {"counter", "histogram"},
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
    return Scrape(at, tuple(numbers))
