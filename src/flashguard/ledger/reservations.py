"""Reservations in every state: holds, orders, and what ended."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from msgspec import Struct

from flashguard.model import (
    CancelledOrder,
    CustomerId,
    Line,
    Reservation,
    ReservationId,
    ReservationStatus,
    SaleId,
    Sku,
    invalid_time,
    public_sale,
)
from flashguard.model.arguments import NAME, is_text, must

from .connections import Connections
from .unreadable import all_readable, check_times, readable_row, sound_lines


class OrderFilter(Struct, frozen=True, kw_only=True):
    """Which orders of a sale to list, and in which order. `short_id` is an order's id without its sale."""

    newest: bool = False
    customer: str | None = None
    short_id: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a time has no offset from UTC, or is outside the years 2000 to 9998, or another
                value is of another type.
        """
        for name in ("customer", "short_id", "status"):
            text = getattr(self, name)
            must((text is None or is_text(text), f"{name}: {NAME}"))
        must((isinstance(self.newest, bool), "newest: must be True or False"))
        for name, time in (("since", self.since), ("until", self.until)):
            wrong = None if time is None else invalid_time(time)
            if wrong:
                raise ValueError(f"{name}: {wrong}")


ALL_ORDERS = OrderFilter()


class RecordedReservation(Struct, frozen=True):
    """What tells one reservation of the ledger from another under the same id."""

    fingerprint: int
    customer: str
    lines: list[Any]
    status: ReservationStatus


class Reservations:
    """The reservations. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def get(self, sale_id: SaleId, id_: str) -> Reservation | None:
        """Return a reservation, in any state; None when there is none.

        Raises:
            UnreadableRow: its values can't be read.
        """
        with readable_row("reservation", f"{sale_id}.{id_}"):
            row = await self._connections.row("reservation", sale_id, id_)
            return None if row is None else _reservation(row)

    async def recorded(self, ids: Sequence[tuple[SaleId, str]]) -> dict[tuple[str, str], RecordedReservation]:
        """Return those of these reservations, named by sale and short id, that the ledger has."""
        rows = await self._connections.rows("recorded", [sale for sale, _ in ids], [id_ for _, id_ in ids])
        return {
            (row["sale_id"], row["id"]): RecordedReservation(
                row["fingerprint"],
                row["customer"],
                json.loads(row["lines"]),
                ReservationStatus(row["status"]),
            )
            for row in rows
        }

    async def orders(
        self,
        sale_ids: Sequence[SaleId],
        after: tuple[datetime, str] | None,
        limit: int,
        which: OrderFilter = ALL_ORDERS,
    ) -> list[Reservation]:
        """Return a page of orders of a sale, or of the shards of one, oldest first unless the filter says
        otherwise. Unreadable rows are left out."""
        at, id_ = after or (None, "")
        name = "newest_orders_page" if which.newest else "orders_page"
        found: list[Reservation] = []
        while len(found) < limit:
            rows = await self._connections.rows(name, list(sale_ids), at, _short(id_), limit, *_where(which))
            found += all_readable("reservation", rows, _reservation)
            last = (rows[-1]["confirmed_at"], rows[-1]["id"]) if rows else None
            if last is None or len(rows) < limit or last == (at, id_):
                break
            at, id_ = last
        return found[:limit]

    async def cancel_archived(
        self, sale_id: SaleId, id_: str, *, restock: bool, reason: str, closed_seconds: float
    ) -> bool:
        """Cancel an order of a sale that closed at least this long ago, so that no memory has it; return
        False when there is no such order."""
        return bool(
            await self._connections.value("cancel_archived", sale_id, id_, restock, reason, closed_seconds)
        )


def lines_from_flat(flat: Sequence[Any]) -> tuple[Line, ...]:
    """Return sku, quantity, sku, quantity, ... as lines."""
    return tuple(Line(Sku(sku), quantity) for sku, quantity in zip(flat[::2], flat[1::2], strict=True))


def _short(id_: str) -> str:
    return id_.rsplit(".", 1)[-1]


def _where(which: OrderFilter) -> tuple[object, ...]:
    return which.customer, which.short_id, which.status, which.since, which.until


def _reservation(row: asyncpg.Record) -> Reservation:
    kind: type[Reservation] = Reservation
    more: dict[str, Any] = {}
    if row["status"] == ReservationStatus.CANCELLED:
        kind = CancelledOrder
        more = {"restocked": row["restocked"], "cancel_reason": row["cancel_reason"]}
        more["cancelled_at"] = row["ended_at"]
    check_times(row["created_at"], row["expires_at"], row["confirmed_at"], row["ended_at"])
    lines = json.loads(row["lines"])
    if not sound_lines(lines):
        raise ValueError(f"its lines are {row['lines'][:100]}")
    return kind(
        id=ReservationId(f"{row['sale_id']}.{row['id']}"),
        sale_id=public_sale(row["sale_id"]),
        customer=CustomerId(row["customer"]),
        status=ReservationStatus(row["status"]),
        items=lines_from_flat(lines),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        confirmed_at=row["confirmed_at"],
        **more,
    )
