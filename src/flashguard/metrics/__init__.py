"""What a process counts, how several processes add up, and how Prometheus reads it."""

from flashguard.metrics.family import Family, Sample, added_up, counter, gauge
from flashguard.metrics.meters import Answers, Batches, Histogram, histograms

__all__ = [
    "Answers",
    "Batches",
    "Family",
    "Histogram",
    "Sample",
    "added_up",
    "counter",
    "gauge",
    "histograms",
]
