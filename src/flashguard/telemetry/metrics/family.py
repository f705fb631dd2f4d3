"""Metrics as plain values that can be written to a file, read by another process and added."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeVar

from msgspec import Struct

PREFIX: Final = "flashguard_"

MetricKind = Literal["counter", "gauge", "histogram"]


class Sample(Struct, array_like=True):
    """One value and its labels. Of a histogram, the sum of the observations, and the counts per bucket."""

    labels: tuple[str, ...]
    value: float
    counts: list[int] = []


class Family(Struct, array_like=True):
    """One metric with all its samples."""

    name: str
    help: str
    kind: MetricKind
    labels: tuple[str, ...]
    samples: list[Sample]
    bounds: tuple[float, ...] = ()


Labels = TypeVar("Labels", bound=tuple[str, ...])


def counter(
    name: str, what: str, values: Mapping[Labels, float] | float, labels: tuple[str, ...] = ()
) -> Family:
    """Return a family whose values only grow while a process runs."""
    return Family(PREFIX + name, what, "counter", labels, _samples(values))


def gauge(
    name: str, what: str, values: Mapping[Labels, float] | float, labels: tuple[str, ...] = ()
) -> Family:
    """Return a family of current values."""
    return Family(PREFIX + name, what, "gauge", labels, _samples(values))


def _samples(values: Mapping[Labels, float] | float) -> list[Sample]:
    if isinstance(values, int | float):
        return [Sample((), float(values))]
    return [Sample(labels, float(value)) for labels, value in sorted(values.items())]


def total(processes: Iterable[Iterable[Family]], *, ended: Iterable[Family] = ()) -> list[Family]:
    """Return the families of several processes as one: every value is the sum of theirs.

    Parameters:
        ended: families of processes that have ended. Their counts stay in the sum; their gauges do not.
    """
    sums: dict[str, Family] = {}
    for families in (*processes, [family for family in ended if family.kind != "gauge"]):
        for family in families:
            known = sums.get(family.name)
            if known is None:
                known = sums[family.name] = Family(
                    family.name, family.help, family.kind, family.labels, [], family.bounds
                )
            if known.bounds == family.bounds:  # otherwise it is from another release
                _add(known.samples, family.samples)
    return list(sums.values())


def _add(known: list[Sample], more: list[Sample]) -> None:
    by_labels = {sample.labels: sample for sample in known}
    for sample in more:
        have = by_labels.get(sample.labels)
        if have is None:
            known.append(Sample(sample.labels, sample.value, list(sample.counts)))
            continue
        have.value += sample.value
        have.counts = [ours + theirs for ours, theirs in zip(have.counts, sample.counts, strict=True)]
