"""Rows of the ledger that can't be read: lists, sweeps and rebuilds skip them; the log names each once."""

import logging
import time
from typing import Final

import asyncpg
import msgspec

log = logging.getLogger("flashguard")

CANT_BE_READ: Final = (
    asyncpg.DataError,
    msgspec.MsgspecError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""Errors of reading a value that our programs would not have written."""
TIMES_UNREADABLE: Final = "its times are outside the years 1970 to 9998"
UNITS_END: Final = 10**15
"""No number of units comes near it; as in `flashguard.line_units` of the ledger."""
KNOWN_MOST: Final = 10_000
"""Rows that a process remembers; beyond it the oldest is forgotten, and logged again when it is met again."""
AGAIN_SECONDS: Final = 60.0
AGAIN_SECONDS_MOST: Final = 3_600.0
"""Seconds until a sale that was not loaded is tried again, at first and at most; each failure doubles it."""


def sound_lines(lines: object) -> bool:
    """Whether this is sku, units, sku, units, ... with whole numbers below 10^15."""
    return (
        isinstance(lines, list)
        and len(lines) >= 2
        and len(lines) % 2 == 0
        and all(isinstance(sku, str) for sku in lines[::2])
        and all(type(units) is int and abs(units) < UNITS_END for units in lines[1::2])
    )


class Unreadable:
    """The rows that this process could not read, by kind and id."""

    def __init__(self) -> None:
        self._logged: dict[tuple[str, str], None] = {}
        self._put_off: dict[str, tuple[float, float]] = {}
        """When each sale may be loaded again, and how long it waits until then."""

    def note(self, kind: str, id_: str, why: object) -> None:
        """Log that this row is left out, once."""
        if (kind, id_) in self._logged:
            return
        if len(self._logged) >= KNOWN_MOST:
            del self._logged[next(iter(self._logged))]
        self._logged[kind, id_] = None
        log.error(
            "%s %s can't be read and is left out: %s. See 'A row can't be read' in docs/how-to/runbook.md",
            kind, id_, f"{type(why).__name__}: {why}" if isinstance(why, Exception) else why,
        )  # fmt: skip

    def put_off(self, sale: str) -> None:
        """Note that a load of this sale failed, for the time after which the next may be tried."""
        _, before = self._put_off.get(sale, (0.0, 0.0))
        if not before and len(self._put_off) >= KNOWN_MOST:
            del self._put_off[next(iter(self._put_off))]
        seconds = min(AGAIN_SECONDS_MOST, before * 2 or AGAIN_SECONDS)
        self._put_off[sale] = time.monotonic() + seconds, seconds

    def waits(self, sale: str) -> bool:
        """Return whether a load of this sale failed so recently that the next shall not be tried yet."""
        until, _ = self._put_off.get(sale, (0.0, 0.0))
        return time.monotonic() < until

    def loaded(self, sale: str) -> None:
        """Note that this sale was loaded after all."""
        self._put_off.pop(sale, None)
        self._logged.pop(("sale", sale), None)


UNREADABLE: Final = Unreadable()
