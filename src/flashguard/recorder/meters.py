"""The metrics of one recorder process."""

from collections import Counter
from collections.abc import Mapping, Sequence

from flashguard.journal import Entry
from flashguard.telemetry.metrics import Family, Histogram, counter, gauge, histograms
from flashguard.telemetry.metrics.meters import COUNTS, SECONDS


class Meters:
    """Counts the groups that all partitions of one recorder committed."""

    def __init__(self) -> None:
        self._entries = Histogram(COUNTS)
        self._seconds = Histogram(SECONDS)
        self._transitions = 0
        self._refused = 0
        self._restarts = 0

    def note_group(self, run: Sequence[Entry], refused: Sequence[object], seconds: float) -> None:
        """Count one transaction that committed these entries, without what the ledger refused."""
        self._entries.note(len(run))
        self._seconds.note(seconds)
        self._transitions += sum(len(entry.body.transitions) for entry in run)
        self._refused += len(refused)

    def note_restart(self) -> None:
        """Count one partition whose task was restarted because it made no progress."""
        self._restarts += 1

    def families(self, states: Mapping[int, str]) -> list[Family]:
        """Return the metrics.

        Parameters:
            states: the label of each claimed partition's state.
        """
        by_state = {(state,): float(count) for state, count in Counter(states.values()).items()}
        return [
            histograms(
                "recorder_group_entries", "Journal entries that one transaction took.", {(): self._entries}
            ),
            histograms(
                "recorder_group_duration_seconds", "From a group in hand to its commit.", {(): self._seconds}
            ),
            counter("recorder_transitions_total", "Changes written into the ledger.", self._transitions),
            counter("recorder_refused_total", "Grants of memory that the ledger refused.", self._refused),
            counter(
                "recorder_restarts_total",
                "Partitions whose task was restarted because it recorded nothing while PostgreSQL answered.",
                self._restarts,
            ),
            gauge("recorder_partitions", "Partitions by what their recorder does.", by_state, ("state",)),
            gauge(
                "recorder_takes_partition",
                "1 for each partition that this recorder has taken.",
                {(str(number),): 1.0 for number in states},
                ("partition",),
            ),
        ]
