"""Unreadable rows of the ledger: lists, expiry and rebuilds skip them; the log names each once."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final, TypeVar

import asyncpg
import msgspec

from .connections import LedgerAway

log = logging.getLogger("flashguard")

T = TypeVar("T")

CANT_BE_READ: Final = (
    asyncpg.DataError,
    msgspec.MsgspecError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""Errors of reading a value that FlashGuard would not have written."""
TIMES_UNREADABLE: Final = "its times are outside the years 1970 to 9998"
UNITS_END: Final = 10**15
"""Above every number of units; the same bound stands in `flashguard.line_units` of the schema."""
KNOWN_MOST: Final = 10_000
"""Rows that a process remembers; beyond this it forgets the oldest, and logs it again when it meets it."""
AGAIN_SECONDS: Final = 60.0
AGAIN_SECONDS_MOST: Final = 3_600.0
"""Seconds until a sale that could not be loaded is tried again, at first and at most; each failure doubles
them."""


def sound_lines(lines: object) -> bool:
    """Return whether this is sku, units, sku, units, ... with whole numbers below 10^15."""
    return (
        isinstance(lines, list)
        and len(lines) >= 2
        and len(lines) % 2 == 0
        and all(isinstance(sku, str) for sku in lines[::2])
        and all(type(units) is int and abs(units) < UNITS_END for units in lines[1::2])
    )


def sound_details(details: object) -> bool:
    """Return whether these can be a reservation's details: a map whose takes are as `sound_lines` says."""
    return isinstance(details, dict) and ("takes" not in details or sound_lines(details["takes"]))


class Unreadable:
    """The rows that this process could not read, by kind and id."""

    def __init__(self) -> None:
        self._logged: dict[tuple[str, str], None] = {}
        self._put_off: dict[str, tuple[float, float]] = {}
        """When each sale may be loaded again, and the seconds it waits until then."""

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
        """Note that a load of this sale failed, and put the next one off."""
        _, before = self._put_off.get(sale, (0.0, 0.0))
        if not before and len(self._put_off) >= KNOWN_MOST:
            del self._put_off[next(iter(self._put_off))]
        seconds = min(AGAIN_SECONDS_MOST, before * 2 or AGAIN_SECONDS)
        self._put_off[sale] = time.monotonic() + seconds, seconds

    def waits(self, sale: str) -> bool:
        """Return whether the next load of this sale is still put off."""
        until, _ = self._put_off.get(sale, (0.0, 0.0))
        return time.monotonic() < until

    def loaded(self, sale: str) -> None:
        """Note that this sale was loaded."""
        self._put_off.pop(sale, None)
        self._logged.pop(("sale", sale), None)


UNREADABLE: Final = Unreadable()


class UnreadableRow(LedgerAway):
    """The ledger has an unreadable row. An operator must correct it: see `flashguard doctor`."""

    def __init__(self, kind: str, id_: str) -> None:
        super().__init__(f"The ledger's row of {kind} {id_} can't be read: an operator must correct it.")


@contextlib.contextmanager
def readable_row(kind: str, id_: str) -> Iterator[None]:
    """Read one row, from its query on.

    Raises:
        UnreadableRow: its values can't be read.
    """
    try:
        yield
    except CANT_BE_READ as error:
        UNREADABLE.note(kind, id_, error)
        raise UnreadableRow(kind, id_) from error


def all_readable(kind: str, rows: Sequence[asyncpg.Record], read: Callable[[asyncpg.Record], T]) -> list[T]:
    """Return the values of these rows; an unreadable row is left out, and logged once."""
    found: list[T] = []
    for row in rows:
        try:
            if not row["readable"]:
                raise ValueError(TIMES_UNREADABLE)
            found.append(read(row))
        except CANT_BE_READ as error:
            id_ = f"{row['sale_id']}.{row['id']}" if kind == "reservation" else row["id"]
            UNREADABLE.note(kind, id_, error)
    return found


def check_times(*times: datetime | None) -> None:
    """Check that the clients of the API can read these times.

    Raises:
        ValueError: a time is infinite or outside the years 1970 to 9998.
    """
    for at in times:
        if at is not None and (at.tzinfo is None or not 1970 <= at.year <= 9998):
            raise ValueError(f"{at} is outside the years 1970 to 9998")
