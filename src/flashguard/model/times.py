"""Times: UTC for callers, whole milliseconds since the Unix epoch internally."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from .names import Millis

EARLIEST_TIME_MS: Final = 946_684_800_000
"""2000-01-01T00:00:00Z: the earliest time of a sale, in milliseconds since the Unix epoch."""

LATEST_TIME_MS: Final = 253_370_764_799_000
"""9998-12-31T23:59:59Z: the latest time of a sale, so that no offset and no rounding leaves the range of a
date. A whole second, because so far from the epoch PostgreSQL's to_timestamp turns 59.999 s into 59.999008 s,
which the ledger refuses."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)  # one batch has one time
def from_millis(millis: int) -> datetime:
    """Return the UTC time of a server's clock reading in milliseconds."""
    return _EPOCH + timedelta(milliseconds=millis)  # exact, unlike a float of seconds


def to_millis(time: datetime) -> Millis:
    """Return the milliseconds since the Unix epoch of a time with its offset from UTC."""
    return Millis(round(time.timestamp() * 1000))


def rounded_time(time: datetime | None) -> datetime | None:
    """Return the time rounded to the millisecond, as the kernel stores it."""
    return None if time is None else from_millis(to_millis(time))


def invalid_time(time: object) -> str | None:
    """Return the fault of a time that a caller gave, as a sentence; None when there is none."""
    if not isinstance(time, datetime) or time.utcoffset() is None:
        return "must be a time with its offset from UTC"
    if not EARLIEST_TIME_MS <= to_millis(time) <= LATEST_TIME_MS:
        return "must be from 2000-01-01T00:00:00Z to 9998-12-31T23:59:59Z, rounded to milliseconds"
    return None
