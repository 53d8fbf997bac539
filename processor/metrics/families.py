"""Metric families whose labels come from closed sets."""

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Gauge

from processor.metrics.series import Count, Counters, Histograms, Row, Spread

OTHER: Final = "other"
"""What a label says for a value outside its set, so that no input can grow the number of series."""

M = TypeVar("M", Count, Gauge, Spread)
Rows = Callable[[Mapping[str, Iterable[str]]], Iterable[Row]]


def every(sets: Mapping[str, Iterable[str]]) -> Iterable[Row]:
    """Return each combination of the labels' values."""
    return product(*sets.values())


class Family(Generic[M]):
    """
    A metric with labels.

    A label's set is given here, or, where it is None, named later by `know` (providers, channels and
    topics are configuration). Series that `know` can tell start at 0.
    """

    def __init__(self, series: Callable[..., M], sets: Mapping[str, Iterable[str] | None], rows: Rows = every) -> None:
        """Take the *series* of a metric, by the values of its labels."""
        self._made: Callable[..., M] = series
        self._sets: dict[str, frozenset[str] | None] = {k: None if v is None else frozenset(v) for k, v in sets.items()}
        self._rows = rows
        self._series: dict[Row, M] = {}

    def know(self, names: Mapping[str, Iterable[str]]) -> None:
        """Fill the open sets from *names* (label to values) and start the known series at 0."""
        for label in self._sets.keys() & names.keys():
            self._sets[label] = (self._sets[label] or frozenset()) | frozenset(names[label])
        self._series.clear()
        for row in self._rows({label: sorted(values or ()) for label, values in self._sets.items()}):
            self.labels(*row)

    def labels(self, *values: str) -> M:
        """Return the series of *values*, in the order of the labels; a value outside its set counts as `other`."""
        series = self._series.get(values)
        return self._closed(values) if series is None else series

    def _closed(self, values: Row) -> M:
        row = tuple(
            str(value) if known is not None and value in known else OTHER
            for value, known in zip(values, self._sets.values(), strict=True)
        )
        if row not in self._series:
            self._series[row] = self._made(*row)
        return self._series[row]


class Families:
    """Declares families in one registry, and tells all of them at once what the configuration names."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._all: list[Family[Count] | Family[Gauge] | Family[Spread]] = []

    def counter(self, name: str, meaning: str, /, rows: Rows = every, **sets: Iterable[str] | None) -> Family[Count]:
        """Declare a counter; its name ends in `_total`."""
        counters = Counters(name, meaning, list(sets))
        self._registry.register(counters)
        family = Family(counters.labels, sets, rows)
        self._all.append(family)
        return family

    def gauge(self, name: str, meaning: str, /, **sets: Iterable[str] | None) -> Family[Gauge]:
        """Declare a gauge."""
        family = Family(Gauge(name, meaning, list(sets), registry=self._registry).labels, sets)
        self._all.append(family)
        return family

    def histogram(
        self, name: str, meaning: str, /, buckets: tuple[float, ...], **sets: Iterable[str] | None
    ) -> Family[Spread]:
        """Declare a histogram; *buckets* are upper bounds in the unit that ends its name."""
        histograms = Histograms(name, meaning, list(sets), buckets)
        self._registry.register(histograms)
        family = Family(histograms.labels, sets)
        self._all.append(family)
        return family

    def know(self, **names: Iterable[str]) -> None:
        """Name the values of labels that are configuration, such as provider, channel and topic."""
        given = {label: tuple(values) for label, values in names.items()}
        for family in self._all:
            family.know(given)
