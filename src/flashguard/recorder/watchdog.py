"""Finds partitions whose task records nothing while PostgreSQL answers: it hangs, or it waits for a lock.

Progress is judged from outside the task, by what it leaves behind: the ledger's position, and the time that
memory keeps of a rebuild's last step. So nothing is counted while entries are recorded.
"""

from collections.abc import Hashable, Mapping
from typing import Final

from flashguard.kernel.kernel import Kernel
from flashguard.model import Position

STALLED_SECONDS: Final = 30.0
"""How long a partition may have entries to record and make no progress before its task is restarted. The
recorder waits at most 10 s for a connection and 10 s for a statement; no sound task comes near it."""
DOUBLINGS_MOST: Final = 5
"""Each restart in a row doubles the wait, up to 16 min: a group that a slow ledger takes long for ends."""
NEXT_STEP: Final = (
    "If this line comes again, a lock is likely: SELECT pid, pg_blocking_pids(pid), query FROM "
    "pg_stat_activity WHERE wait_event_type = 'Lock' shows who holds it. Then see 'A partition is stuck' in "
    "docs/how-to/runbook.md"
)


class Stalls:
    """Tells which partitions made no progress for too long."""

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = STALLED_SECONDS if seconds is None else seconds
        self._seen: dict[int, tuple[Hashable, float, int]] = {}
        """Per partition with work: its mark, since when (seconds), and how often it was returned since."""

    def note(self, marks: Mapping[int, Hashable], now: float) -> dict[int, float]:
        """Return the partitions to restart, with the seconds for which each made no progress.

        Parameters:
            marks: of each partition that has work, what its progress changes.
            now: seconds, by a clock that never goes back.
        """
        stalled: dict[int, float] = {}
        seen: dict[int, tuple[Hashable, float, int]] = {}
        for number, mark in marks.items():
            known, since, times = self._seen.get(number, (None, now, 0))
            if known != mark:
                since, times = now, 0
            elif now - since >= self._seconds * 2 ** min(times, DOUBLINGS_MOST):
                stalled[number] = now - since
                since, times = now, times + 1
            seen[number] = mark, since, times
        self._seen = seen
        return stalled


async def marks_of(kernel: Kernel, positions: Mapping[int, Position]) -> dict[int, Hashable]:
    """Return, for each of these partitions that has entries to record or memory to rebuild, what its progress
    changes.

    Parameters:
        positions: the ledger's, read before this call.

    Raises:
        MemoryAway: memory does not answer.
    """
    marks: dict[int, Hashable] = {}
    for number, position in positions.items():
        head = await kernel.head(number)
        idle = "fence" not in head and (head.get("epoch"), head.get("seq")) == (
            str(position.epoch),
            str(position.seq),
        )
        if not idle:
            marks[number] = position.epoch, position.seq, head.get("building_ms")
    return marks
