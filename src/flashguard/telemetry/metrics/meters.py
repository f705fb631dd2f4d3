"""Meters for the hot path: plain integers in plain lists, a fraction of a microsecond per observation.

A client library's objects take a lock and a few microseconds per observation. These meters are converted for
the library only when the metrics are requested.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from .family import PREFIX, Family, Labels, Sample, counter

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds from a script call over a local socket to the longest wait of a buyer."""
COUNTS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
"""Bounds for batches and groups: powers of two up to the largest batch that the settings allow."""


class Histogram:
    """Counts of observations per bucket; the last bucket has no upper bound."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def note(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


def histograms(
    name: str, what: str, values: Mapping[Labels, Histogram], labels: tuple[str, ...] = ()
) -> Family:
    """Return the family of a metric's histograms, by labels; all have the same bounds."""
    bounds = next((each.bounds for each in values.values()), SECONDS)
    samples = [Sample(key, each.sum, list(each.counts)) for key, each in sorted(values.items())]
    return Family(PREFIX + name, what, "histogram", labels, samples, bounds)


def _seconds() -> Histogram:
    return Histogram(SECONDS)


def _counts() -> Histogram:
    return Histogram(COUNTS)


class _Route:
    __slots__ = ("seconds", "statuses")

    def __init__(self) -> None:
        self.seconds = _seconds()
        self.statuses: dict[int, int] = {}


class Answers:
    """The HTTP answers of one API process."""

    def __init__(self) -> None:
        self._routes: defaultdict[str, _Route] = defaultdict(_Route)

    def note(self, route: str, status: int, seconds: float) -> None:
        """Count an answer.

        Parameters:
            seconds: from the arrival of its request to the start of the answer.
        """
        known = self._routes[route]
        known.statuses[status] = known.statuses.get(status, 0) + 1
        histogram = known.seconds  # `Histogram.note` inlined: saves a call
        histogram.counts[bisect_left(SECONDS, seconds)] += 1
        histogram.sum += seconds

    def families(self) -> list[Family]:
        requests = {
            (route, str(status)): count
            for route, known in self._routes.items()
            for status, count in known.statuses.items()
        }
        return [
            counter(
                "http_requests_total",
                "Requests answered, by route and status.",
                requests,
                ("route", "status"),
            ),
            histograms(
                "http_request_duration_seconds",
                "Seconds from a request's arrival to the start of its answer.",
                {(route,): known.seconds for route, known in self._routes.items()},
                ("route",),
            ),
        ]


class Batches:
    """The script calls of one process: requests per call, and seconds per call."""

    def __init__(self) -> None:
        self.ledger_wait = _seconds()
        self._sizes: defaultdict[str, Histogram] = defaultdict(_counts)
        self._seconds: defaultdict[str, Histogram] = defaultdict(_seconds)

    def note(self, verb: str, size: int, seconds: float) -> None:
        """Count a script call that was answered, or given up.

        Parameters:
            size: requests in the call.
        """
        self._sizes[verb].note(size)
        self._seconds[verb].note(seconds)

    def families(self) -> list[Family]:
        return [
            histograms(
                "script_call_requests",
                "Requests that shared a script call.",
                {(verb,): each for verb, each in self._sizes.items()},
                ("verb",),
            ),
            histograms(
                "script_call_duration_seconds",
                "Seconds from sending a script call to its answer.",
                {(verb,): each for verb, each in self._seconds.items()},
                ("verb",),
            ),
            histograms(
                "ledger_wait_duration_seconds",
                "Seconds from a script call's answer to the notice that the ledger committed it.",
                {(): self.ledger_wait},
            ),
        ]
