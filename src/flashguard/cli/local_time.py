"""Local times: ambiguous ones are refused, and they are shown beside UTC."""

import re
from datetime import datetime
from typing import Final

from flashguard.errors import FlashGuardError

TIME_HELP: Final = "local time as in '2027-06-30 20:00', or with an offset as in 2027-06-30T20:00:00+02:00."
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def moment_of(text: str | None, option: str) -> str | None:
    """Return the time of an option in RFC 3339 with its offset; None for None.

    Raises:
        FlashGuardError: the text is not a date with a time, or a local time that does not exist or exists
            twice.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
        if at is None or at.tzinfo is not None:
            readings = at and {at}
        else:
            readings = {at.replace(fold=fold).astimezone() for fold in (0, 1)}
    except (ValueError, OverflowError, OSError):
        readings = None
    if not readings:
        raise FlashGuardError(f"{option} {text!r}: write {TIME_HELP}")
    first, *others = sorted(readings)
    if not others:
        return first.isoformat()
    exists = any(each.replace(tzinfo=None) == at for each in readings)
    what = "exists twice" if exists else "does not exist"
    written = " or ".join(f"{each.isoformat()} ({each.tzname()})" for each in (first, *others))
    raise FlashGuardError(f"{option} {text!r} {what} in local time: the clocks change then. Write {written}.")


def both(at: str | None) -> str:
    """Return a time of the API in UTC and in local time; 'not set' for None."""
    if at is None:
        return "not set"
    return f"{at} ({datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M:%S %Z} local time)"
