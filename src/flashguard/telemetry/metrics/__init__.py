"""What a process counts, how the counts of several processes are added, and Prometheus' format."""

from .family import Family, Sample, counter, gauge, total
from .meters import Answers, Batches, Histogram, histograms

__all__ = [
    "Answers",
    "Batches",
    "Family",
    "Histogram",
    "Sample",
    "counter",
    "gauge",
    "histograms",
    "total",
]
