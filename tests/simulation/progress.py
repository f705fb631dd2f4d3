"""Judges that recorders go on by themselves: once the faults are over, no partition stays behind its journal,
or fenced, without progress. A ledger that fell back while nothing is sold, too, is noticed and caught up.
"""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from flashguard.kernel import keys

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

BEHIND_SECONDS: Final = 8.0
"""The recorder waits at most 10 s for a statement; it compares itself with the ledger every 2 s. Its watchdog
restarts a task after 30 s, which must never be needed."""
NOTHING: Final[Mapping[bytes, bytes]] = {}


class Progress:
    """Tells which partitions make none."""

    def __init__(self, shop: "Shop") -> None:
        self._shop = shop
        self._seen: dict[int, tuple[Hashable, float]] = {}
        """Per partition with something to do: what its progress changes, and since when (seconds)."""
        self.since = math.inf
        """From when on it is judged."""

    def healed(self) -> None:
        """Judge from now on, or once no server hangs and no process lacks a processor."""
        shop = self._shop
        busy = [each.loop.busy_until for each in shop.recorders if each.loop is not None]
        self.since = max(shop.world.now, shop.primary.hangs_until, shop.postgres.hangs_until, *busy)

    def judge(
        self, positions: Iterable[tuple[int, int, int]], heads: Mapping[str, Mapping[bytes, bytes]]
    ) -> Iterator[str]:
        """Yield what stands still for too long.

        Parameters:
            positions: the ledger's: partition, epoch and number of the newest entry.
            heads: the partition hashes of memory, by their keys.
        """
        now = self._shop.world.now
        for partition, epoch, seq in positions:
            head = heads.get(keys.partition(partition), NOTHING)
            ends = head.get(b"epoch"), head.get(b"seq")
            if b"fence" not in head and ends == (b"%d" % epoch, b"%d" % seq):
                self._seen.pop(partition, None)
                continue
            mark = epoch, seq, head.get(b"building_ms")
            known, since = self._seen.get(partition, (None, now))
            since = max(since, self.since) if known == mark else now
            self._seen[partition] = mark, since
            if now - since > BEHIND_SECONDS:
                self._seen[partition] = mark, math.inf
                what = f"the ledger is at {epoch}-{seq}, memory at {ends}"
                yield f"partition {partition}: {what}, for {BEHIND_SECONDS:.0f} s"
