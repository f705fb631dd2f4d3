"""Where a ticket stands in a waiting room, as its buyer sees it."""

import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import cast

from msgspec import Struct

from flashguard.model import RoomMode, SaleId


class Place(Struct, frozen=True, kw_only=True):
    """Where a ticket stands.

    Parameters:
        sale_id: the sale that was asked.
        room: the sale that has the waiting room: another one where the sale shares its room.
        position: how many admissions until its turn, itself included; None before a lottery is drawn.
        about: the position is an estimate: the sale is spread, and the turn is not near.
        waiting: how many tickets wait.
        expected_wait_seconds: None where it depends on returned units, or on the opening.
        outlook: the chance of units: likely, possible (if units that others hold come back), unlikely,
            sold-out.
        poll_after_seconds: when to poll again.
        admission: the token that reserve and buy demand, valid until `admitted_until`.
        ticket: the signed ticket, which keeps the place through a loss of memory.
    """

    id: str
    sale_id: SaleId
    room: SaleId
    status: str
    position: int | None = None
    about: bool = False
    waiting: int | None = None
    expected_wait_seconds: float | None = None
    outlook: str | None = None
    opens_at: datetime | None = None
    poll_after_seconds: float | None = None
    admission: str | None = None
    admitted_until: datetime | None = None
    ticket: str | None = None


class Drawing(Struct, frozen=True, kw_only=True):
    """The public view of a room and, once drawn, of its lottery: a page of the tickets in their order.

    Parameters:
        next_start: the number with which the next page begins; None after the last one.
    """

    mode: RoomMode
    commitment: str
    seed: str | None
    drawn_at: datetime | None
    waiting: int
    active: int
    admitted: int
    tickets: int
    page: list[str]
    next_start: int | None


def merged_page(pages: Iterable[list[str | int]], count: int) -> tuple[list[str], int | None]:
    """Return the first tickets of these pages by number, then by id, and the number with which the next page
    begins. Tickets with the same number are on one page.

    Parameters:
        pages: of each shard: its tickets, each before its number.
    """
    rows: list[tuple[int, str]] = []
    for page in pages:
        rows += zip(cast("list[int]", page[1::2]), cast("list[str]", page[::2]), strict=True)
    rows.sort()
    end = min(count, len(rows))
    while 0 < end < len(rows) and rows[end][0] == rows[end - 1][0]:
        end += 1
    return [ticket for _, ticket in rows[:end]], rows[end][0] if end < len(rows) else None


def poll_after_seconds(id_: str, look_ms: float, left_ms: float) -> float:
    """Return when a ticket is to be polled again, in seconds; around the opening, spread over a poll's
    time."""
    if 0 < left_ms < look_ms:
        look_ms = left_ms + look_ms * zlib.crc32(id_.encode()) / 2**32
    return round(look_ms / 1000, 1)
