"""Virtual time and seeded entropy for a whole process: `install` comes before FlashGuard is imported.

While no world runs, both are the real ones: the servers are started, and seconds are measured, by them.
"""

import os
import random
import secrets
import time
from datetime import datetime, tzinfo
from typing import Final

START_SECONDS: Final = 1_700_000_000.0
"""Unix time at the start of every run."""

real_seconds = time.perf_counter
_monotonic, _time, _token_bytes, _urandom = time.monotonic, time.time, secrets.token_bytes, os.urandom


class Virtual:
    """The clock and the entropy of the run; None: there is no run, and both are real."""

    now: float | None = None
    entropy = random.Random(0)


def _passed() -> float:
    now = Virtual.now
    return _monotonic() if now is None else now


def _wall() -> float:
    now = Virtual.now
    return _time() if now is None else START_SECONDS + now


def _bytes(count: int | None = None) -> bytes:
    if Virtual.now is None:
        return _token_bytes(count)
    return Virtual.entropy.randbytes(32 if count is None else count)


def _random_bytes(count: int, /) -> bytes:
    return _urandom(count) if Virtual.now is None else Virtual.entropy.randbytes(count)


def install() -> None:
    """Replace the clocks and the sources of entropy of Python's own modules."""
    time.monotonic = _passed
    time.perf_counter = _passed
    time.time = _wall
    time.time_ns = lambda: int(_wall() * 1_000_000_000)
    time.monotonic_ns = lambda: int(_passed() * 1_000_000_000)
    secrets.token_bytes = _bytes  # type: ignore[assignment]
    os.urandom = _random_bytes


class Dates(datetime):
    """What takes the place of `datetime` in a module that asks it for the time."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.fromtimestamp(_wall(), tz)
