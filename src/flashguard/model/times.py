"""Times: UTC for callers, whole milliseconds since the Unix epoch inside."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from .names import Millis

EARLIEST_TIME_MS: Final = 946_684_800_000
"""2000-01-01T00:00:00Z: the first time that a sale may name, in milliseconds since the Unix epoch."""

LATEST_TIME_MS: Final = 253_370_764_799_000
"""9998-12-31T23:59:59Z: the last one, so that no offset and no rounding leaves what a date can be. A whole
second, for PostgreSQL's to_timestamp makes 59.999008 s of 59.999 s there, and the ledger refuses that."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)  # one batch has one time
def from_millis(millis: int) -> datetime:
    """The UTC time of a server's millisecond clock reading."""
    return _EPOCH + timedelta(milliseconds=millis)  # exact, also where a float of seconds is not


def to_millis(time: datetime) -> Millis:
    """Milliseconds since the Unix epoch of an aware time."""
    return Millis(round(time.timestamp() * 1000))


def rounded_time(time: datetime | None) -> datetime | None:
    """Return the time to the millisecond, as memory keeps it."""
    return None if time is None else from_millis(to_millis(time))


def invalid_time(time: object) -> str | None:
    """Return why this can't be a time that a caller names, in a sentence; None when it can."""
    if not isinstance(time, datetime) or time.utcoffset() is None:
        return "must be a time with its offset from UTC"
    if not EARLIEST_TIME_MS <= to_millis(time) <= LATEST_TIME_MS:
        return "must be from 2000-01-01T00:00:00Z to 9998-12-31T23:59:59Z, rounded to milliseconds"
    return None
