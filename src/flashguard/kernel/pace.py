"""The pace of calls: a short rest after each one, so that the next takes more along.

A call has a fixed cost in every part that it passes, whatever its size. Under half load calls are small, and
most of the CPU goes there.
"""

import time
from collections.abc import Callable
from typing import Final

REST_MOST_SECONDS: Final = 0.002
"""The longest rest. A lone caller meets no rest: calls that follow each other closely do."""


class Pace:
    """Says how long to rest before the next call: as long as the last one took, counted from its end.

    Parameters:
        clock: seconds, by a clock that only goes forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = 0.0
        self._rests_until = 0.0

    def begin(self) -> None:
        """Note that a call begins."""
        self._began = self._clock()

    def end(self) -> None:
        """Note that the call has ended: the rest begins."""
        now = self._clock()
        self._rests_until = now + min(now - self._began, REST_MOST_SECONDS)

    @property
    def rest_seconds(self) -> float:
        """Return how long the next call should still wait; 0 after the rest."""
        return max(0.0, self._rests_until - self._clock())
