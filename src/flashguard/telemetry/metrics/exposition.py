"""Encodes metric families with Prometheus' own client, in the requested format."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from .family import Family

INFINITY = float("inf")


class _Collector(Collector):
    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return map(_metric, self._families)


def exposition(families: Sequence[Family], accept: str = "") -> tuple[bytes, str]:
    """Return the body and its media type.

    Parameters:
        accept: the `Accept` header, which chooses the text format or OpenMetrics.
    """
    registry = CollectorRegistry()
    registry.register(_Collector(families))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


def _metric(family: Family) -> Metric:
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        names = [str(bound) if bound < INFINITY else "+Inf" for bound in (*family.bounds, INFINITY)]
        for sample in family.samples:
            counts = accumulate(sample.counts)
            histogram.add_metric(sample.labels, list(zip(names, counts, strict=True)), sample.value)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for sample in family.samples:
        metric.add_metric(sample.labels, sample.value)
    return metric
