"""What /metrics says, as numbers to show. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Number:
    """One sample. labels: names and values, sorted; counts: a number that only grows."""

    name: str
    labels: tuple[tuple[str, str], ...]
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

    def quantile(self, name: str, q: float) -> float | None:
        """The upper bound of the bucket of a histogram, over all labels, that its quantile q lies in."""
        counts: dict[float, float] = {}
        for number in self.numbers:
            if number.name == f"{name}_bucket":
                bound = float(dict(number.labels)["le"])
                counts[bound] = counts.get(bound, 0.0) + number.value
        total = counts.get(float("inf"), 0.0)
        return next((bound for bound in sorted(counts) if total and counts[bound] >= q * total), None)

    def histograms(self) -> dict[str, str]:
        """Names of the histograms, and what they say."""
        return {n.name.removesuffix("_bucket"): n.says for n in self.numbers if n.name.endswith("_bucket")}


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
