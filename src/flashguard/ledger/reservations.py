"""Reservations in every state: holds, orders, and what ended."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from flashguard.model import (
    AmendedOrder,
    CancelledOrder,
    CustomerId,
    Line,
    OrderPayment,
    Reservation,
    ReservationId,
    ReservationStatus,
    SaleId,
    Sku,
    invalid_time,
    priced,
    public_sale,
)
from flashguard.model.arguments import NAME, is_text, must
from flashguard.model.attached import NAMES as ATTACHED
from flashguard.model.locations import allocated

from .connections import Connections
from .unreadable import all_readable, check_times, readable_row, sound_lines


class OrderFilter(Struct, frozen=True, kw_only=True):
    """Which orders of a sale to list, and in which order. `short_id` is an order's id without its sale;
    `payments`: with the payment of each."""

    newest: bool = False
    customer: str | None = None
    short_id: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    reference: str | None = None
    payments: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a time has no offset from UTC, or is outside the years 2000 to 9998, or another
                value is of another type.
        """
        for name in ("customer", "short_id", "status", "reference"):
            text = getattr(self, name)
            must((text is None or is_text(text), f"{name}: {NAME}"))
        for name in ("newest", "payments"):
            must((isinstance(getattr(self, name), bool), f"{name}: must be True or False"))
        for name, time in (("since", self.since), ("until", self.until)):
            wrong = None if time is None else invalid_time(time)
            if wrong:
                raise ValueError(f"{name}: {wrong}")


ALL_ORDERS = OrderFilter()
PAGES_OF_ORDERS: Final = {
    (False, False): "orders_page",
    (True, False): "newest_orders_page",
    (False, True): "orders_page_of_reference",
    (True, True): "newest_orders_page_of_reference",
}
"""The query, by whether the newest come first, and whether they have one reference."""
FEW: Final = 20_000
"""Reservations of one customer or of one status that are read and sorted for a page. Where there are more,
the sale is read in the order of its ids: they are not rare in it."""
AT_FIRST: Final = 5_000
"""Reservations of a sale that are read for a page of one status before that status counts as rare."""


class ReservationFilter(Struct, frozen=True, kw_only=True):
    """Which reservations of a sale to list."""

    customer: str | None = None
    status: ReservationStatus | None = None
    reference: str | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a value is of another type.
        """
        must(
            (self.customer is None or is_text(self.customer), f"customer: {NAME}"),
            (self.reference is None or is_text(self.reference), f"reference: {NAME}"),
            (
                self.status is None or isinstance(self.status, ReservationStatus),
                "status: must be a ReservationStatus",
            ),
        )


_order_payment = msgspec.json.Decoder(OrderPayment)


class RecordedReservation(Struct, frozen=True):
    """What tells one reservation of the ledger from another under the same id."""

    fingerprint: int
    customer: str
    lines: list[Any]
    status: ReservationStatus
    details: dict[str, Any] = {}

    @property
    def takes(self) -> list[Any] | None:
        """What it moves, flat, where that is not its lines."""
        return self.details.get("takes")

    @property
    def identities(self) -> dict[str, str] | None:
        """What limits by identity count it by, where it has any."""
        return self.details.get("identities")

    @property
    def revision(self) -> int:
        """How often it was amended."""
        return int(self.details.get("revision", 0))

    @property
    def cancelled(self) -> list[Any]:
        """The items of it that were cancelled, flat as its lines."""
        return list(self.details.get("cancelled", ()))


class Reservations:
    """The reservations. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def get(self, sale_id: SaleId, id_: str) -> Reservation | None:
        """Return a reservation, in any state; None when there is none.

        Raises:
            UnreadableRow: its values can't be read.
        """
        found = await self.get_with_fingerprint(sale_id, id_)
        return None if found is None else found[0]

    async def get_with_fingerprint(self, sale_id: SaleId, id_: str) -> tuple[Reservation, int] | None:
        """Return a reservation, and the fingerprint of the request that made it; None when there is none.

        Raises:
            UnreadableRow: its values can't be read.
        """
        with readable_row("reservation", f"{sale_id}.{id_}"):
            row = await self._connections.row("reservation", sale_id, id_)
            return None if row is None else (_reservation(row), row["fingerprint"])

    async def recorded(self, ids: Sequence[tuple[SaleId, str]]) -> dict[tuple[str, str], RecordedReservation]:
        """Return those of these reservations, named by sale and short id, that the ledger has."""
        rows = await self._connections.rows("recorded", [sale for sale, _ in ids], [id_ for _, id_ in ids])
        return {
            (row["sale_id"], row["id"]): RecordedReservation(
                row["fingerprint"],
                row["customer"],
                json.loads(row["lines"]),
                ReservationStatus(row["status"]),
                json.loads(row["details"] or "{}"),
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
        found: list[Reservation] = []
        while len(found) < limit:
            rows = await self._orders(which, list(sale_ids), at, _short(id_), limit)
            found += all_readable("reservation", rows, _order)
            last = (rows[-1]["confirmed_at"], rows[-1]["id"]) if rows else None
            if last is None or len(rows) < limit or last == (at, id_):
                break
            at, id_ = last
        return found[:limit]

    async def _orders(
        self, which: OrderFilter, shards: list[SaleId], at: datetime | None, id_: str, limit: int
    ) -> list[asyncpg.Record]:
        """Return the rows of a page, without reading all orders for the few that were cancelled."""
        rows, page = self._connections.rows, (shards, at, id_, limit, *_where(which))
        if which.status == ReservationStatus.CANCELLED and which.reference is None:
            most = FEW // len(shards)
            few = await rows("few_orders_page", *page, which.newest, most)
            if not few or few[0]["found"] < most:
                return few
        return await rows(PAGES_OF_ORDERS[which.newest, which.reference is not None], *page)

    async def page(
        self,
        sale_ids: Sequence[SaleId],
        after: tuple[datetime, str] | None,
        limit: int,
        which: ReservationFilter,
        now: datetime,
    ) -> list[Reservation]:
        """Return a page of reservations of a sale, or of the shards of one, by their ids. Unreadable rows are
        left out.

        Parameters:
            now: by memory's clock: a hold past its end counts as expired.
        """
        shard, _, id_ = ("", "", "") if after is None else after[1].rpartition(".")
        found: list[Reservation] = []
        while len(found) < limit:
            rows = await self._page(which, list(sale_ids), id_, shard, limit, now)
            found += all_readable("reservation", rows, _reservation)
            if len(rows) < limit:
                break
            id_, shard = rows[-1]["id"], rows[-1]["sale_id"]
        return found[:limit]

    async def _page(
        self, which: ReservationFilter, shards: list[SaleId], id_: str, shard: str, limit: int, now: datetime
    ) -> list[asyncpg.Record]:
        """Return the rows of a page, without reading a whole sale for those of a customer or of a status that
        has few."""
        rows, page = self._connections.rows, (shards, id_, shard, limit, now)
        where = which.customer, which.status
        if which.reference is not None:
            return await rows("reservations_of_reference_page", *page, *where, which.reference)
        if where == (None, None):
            return await rows("reservations_page", *page, *where)
        if which.customer is not None and which.status is ReservationStatus.HELD:
            return await rows("holds_of_customer_page", *page, which.customer)
        if which.customer is None and len(shards) == 1:
            next_ = shards[0], id_, limit, now, which.status, AT_FIRST
            found = await rows("next_reservations_of_status", *next_)
            if len(found) == limit:
                return found
        most = FEW // len(shards)
        few = await rows("few_reservations_page", *page, *where, most)
        if not few or few[0]["found"] < most:
            return few
        return await rows("reservations_page", *page, *where)

    async def amendment(self, sale_id: SaleId, key: str) -> tuple[int, str] | None:
        """Return the fingerprint and the reservation's short id of the amend with this key; None where the
        ledger does not have it."""
        row = await self._connections.row("amendment", sale_id, key)
        return None if row is None else (row["fingerprint"], row["id"])

    async def cancel_items_archived(self, amend: dict[str, Any], *, closed_seconds: float) -> bool:
        """Cancel items of an order of a sale that closed at least this long ago, so that no memory has it.

        Parameters:
            amend: what `record_amends` takes.

        Returns:
            False when the ledger does not have the order at the revision before, or the sale is not so old.
        """
        text = msgspec.json.encode(amend).decode()
        return bool(await self._connections.value("cancel_items_archived", text, closed_seconds))

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


def _prices(first: str | None, details: dict[str, Any]) -> dict[str, int]:
    """Return the prices of a reservation: its own, or the first ones of items that have others now."""
    own = details.get("prices", {})
    if not isinstance(own, dict) or not all(type(price) is int for price in own.values()):
        raise ValueError(f"its prices are {str(own)[:100]}")
    return {**json.loads(first), **own} if first else own


def _short(id_: str) -> str:
    return id_.rsplit(".", 1)[-1]


def _where(which: OrderFilter) -> tuple[object, ...]:
    where = which.customer, which.short_id, which.status, which.since, which.until, which.payments
    return where if which.reference is None else (*where, which.reference)


def order_payment(text: str | None) -> OrderPayment | None:
    """Return the payment of an order from its JSON."""
    return None if text is None else _order_payment.decode(text)


def _order(row: asyncpg.Record) -> Reservation:
    return msgspec.structs.replace(_reservation(row), payment=order_payment(row["payment"]))


def _reservation(row: asyncpg.Record) -> Reservation:
    kind: type[Reservation] = Reservation
    more: dict[str, Any] = {}
    if row["status"] == ReservationStatus.CANCELLED:
        kind = CancelledOrder
        more = {"restocked": row["restocked"], "cancel_reason": row["cancel_reason"]}
        more["cancelled_at"] = row["ended_at"]
    details: dict[str, Any] = json.loads(row["details"]) if row["details"] else {}
    more |= {name: details[name] for name in ATTACHED if name in details}
    cancelled = details.get("cancelled", [])
    if cancelled:
        if not sound_lines(cancelled):
            raise ValueError(f"its details are {row['details'][:100]}")
        kind = kind if kind is CancelledOrder else AmendedOrder
        more["cancelled_items"] = lines_from_flat(cancelled)
    check_times(row["created_at"], row["expires_at"], row["confirmed_at"], row["ended_at"])
    lines, takes = json.loads(row["lines"]), details.get("takes")
    if not sound_lines(lines):
        raise ValueError(f"its lines are {row['lines'][:100]}")
    if takes is not None and not sound_lines(takes):
        raise ValueError(f"its details are {row['details'][:100]}")
    return kind(
        id=ReservationId(f"{row['sale_id']}.{row['id']}"),
        sale_id=public_sale(row["sale_id"]),
        customer=CustomerId(row["customer"]),
        status=ReservationStatus(row["status"]),
        items=priced(allocated(lines_from_flat(lines), takes), _prices(row["first_prices"], details)),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        confirmed_at=row["confirmed_at"],
        **more,
    )
