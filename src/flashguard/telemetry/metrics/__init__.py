"""What a process counts, how several processes add up, and how Prometheus reads it."""

from .family import Family, Sample, added_up, counter, gauge
from .meters import Answers, Batches, Histogram, histograms

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
