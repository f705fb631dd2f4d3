"""Orders: buy, list and cancel."""

import csv
import io
import re
from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request
from msgspec import UNSET
from starlette.responses import Response, StreamingResponse

from flashguard.api.access import Caller, Right
from flashguard.api.admin_log import action_of
from flashguard.api.hot_calls import BUY
from flashguard.api.middleware.rate_limit import count_customer
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.answers import PageView, problems
from flashguard.api.schemas.bodies import BasketBody
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.schemas.orders import CancelBody, OrderView, ReservationView, lines_of
from flashguard.api.schemas.sales import Time
from flashguard.api.schemas.views import decode_cursor, encode_cursor, json_response, outcome_response, page
from flashguard.api.security import requires
from flashguard.engine.customers import WHAT_IT_IS
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.ledger import OrderFilter
from flashguard.model import (
    MAX_NAME,
    CancelledOrder,
    Item,
    Line,
    OrderPayment,
    Refused,
    Reservation,
    ReservationStatus,
    SaleId,
    public_sale,
    split_reservation_id,
    unknown_sale,
)

from .dependencies import (
    Cursor,
    IdempotencyKey,
    Limit,
    Reference,
    SaleParam,
    guard_of,
    known,
    payments_of,
    printable,
    route_of,
)

router = APIRouter(prefix="/v1")

CONFIRMED, CANCELLED = ReservationStatus.CONFIRMED, ReservationStatus.CANCELLED
CSV_PAGE: Final = 500
COLUMNS: Final = (
    "order_id", "customer", "confirmed_at", "sku", "quantity", "status", "price_minor", "currency",
    "cancelled_at", "restocked", "cancel_reason", "reference", "metadata", "allocations",
    "payment_id", "payment_provider", "payment_status", "payment_amount_minor", "payment_currency",
    "payment_refunded_minor",
)  # fmt: skip
FORMULA: Final = re.compile(r"""((?:^|[,;|\t\r\n])[\s"']*)([=+\-@＝＋－＠﹦﹢﹣﹫])""")
"""A character that starts a formula, also in full width, at the start of a text or after a possible
separator."""


@route_of(
    router,
    BUY,
    status_code=201,
    response_model=ReservationView,
    responses=problems(401, 403, 404, 409, 422, 503),
    tags=["reservations"],  # a buyer's call: clients find it beside the others
)
async def buy(
    request: Request,
    caller: Annotated[Caller, requires(BUY.right)],
    sale: SaleParam,
    body: BasketBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Reserve and confirm in one atomic step. 201 `confirmed`: the order is committed in PostgreSQL."""
    guard = guard_of(request)
    await count_customer(request, guard, caller, body.customer)
    return await BUY.handle(guard, caller, known(sale), body.plain(), valid_key(idempotency_key))


@router.get(
    "/sales/{sale}/orders",
    response_model=PageView[OrderView],
    responses=problems(401, 403, 404, 422, 503),
    dependencies=[requires(Right.READ_ORDERS)],
    tags=["orders"],
)
async def list_orders(
    request: Request,
    sale: SaleParam,
    cursor: Cursor = None,
    limit: Limit = 50,
    format: Annotated[Literal["json", "csv"] | None, Query()] = None,
    newest: Annotated[bool, Query(description="Newest first")] = False,
    customer: Annotated[str | None, Query(max_length=MAX_NAME, description="Only this customer's")] = None,
    id: Annotated[str | None, Query(max_length=100, description="Only this order")] = None,
    status: Annotated[Literal["confirmed", "cancelled"] | None, Query()] = None,
    since: Annotated[Time | None, Query(description="Confirmed at this time or later")] = None,
    until: Annotated[Time | None, Query(description="Confirmed before this time")] = None,
    reference: Reference = None,
) -> Response:
    """List orders, oldest first: a JSON page, or with `format=csv` (or `Accept: text/csv`) all of them as
    CSV."""
    guard, sale_id = guard_of(request), known(sale)
    wants_csv = format == "csv" or (format is None and "text/csv" in request.headers.get("accept", ""))
    if customer is not None:
        customer = guard.customer_of(customer)
        if customer is None:
            return problem(Refused(code=Code.INVALID_REQUEST, detail=WHAT_IT_IS))
    order = None if id is None else split_reservation_id(id)
    if id is not None and (order is None or public_sale(order[0]) != sale_id):
        if await guard.ledger.sales.get(sale_id) is None:
            return problem(unknown_sale(sale_id))
        return json_response({"data": [], "next_cursor": None})
    which = OrderFilter(
        newest=newest, customer=customer, short_id=order[1] if order else None, status=status, since=since,
        until=until, reference=printable(reference, "reference"), payments=payments_of(request) is not None,
    )  # fmt: skip
    rows = await guard.shop.orders(
        sale_id, decode_cursor(cursor), CSV_PAGE if wants_csv else limit + 1, which
    )
    if rows is None:
        return problem(unknown_sale(sale_id))
    if wants_csv:
        return StreamingResponse(
            _csv(guard, sale_id, rows, which),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{sale_id}-orders.csv"'},
        )
    return json_response(page(rows, limit, _order_cursor, lambda order: order))


def _order_cursor(order: Reservation) -> str:
    if order.confirmed_at is None:
        raise AssertionError("an order has a time of confirmation")
    return encode_cursor(order.confirmed_at, order.id)


async def _csv(
    guard: FlashGuard, sale: SaleId, rows: list[Reservation], which: OrderFilter
) -> AsyncIterator[str]:
    """Yield all orders as CSV, a line per order line. Reads page by page to bound memory."""
    stored = await guard.ledger.sales.get(sale)
    items = {} if stored is None else {str(item.sku): item for item in stored.sale.items}
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)  # some readers also split at `;`
    writer.writerow(COLUMNS)
    while rows:
        for order in rows:
            writer.writerows(_csv_rows(order, items))
        yield out.getvalue()
        out.seek(0)
        out.truncate()
        last = rows[-1]
        if len(rows) < CSV_PAGE or last.confirmed_at is None:
            return
        rows = await guard.shop.orders(sale, (last.confirmed_at, last.id), CSV_PAGE, which) or []
    yield out.getvalue()


def _csv_rows(order: Reservation, items: dict[str, Item]) -> list[list[object]]:
    at = order.confirmed_at.isoformat() if order.confirmed_at else ""
    cancelled: list[object] = ["", "", ""]
    if isinstance(order, CancelledOrder):
        restocked = "true" if order.restocked else "false"
        cancelled = [order.cancelled_at.isoformat(), restocked, _plain(order.cancel_reason)]
    reference = _plain(order.reference) if order.reference else ""
    attached = [reference, _plain(msgspec.json.encode(order.metadata).decode()) if order.metadata else ""]
    payment: list[object] = [""] * 6
    if isinstance(order.payment, OrderPayment):
        payment = list(msgspec.structs.astuple(order.payment))
    rows: list[list[object]] = []
    for line in order.items:
        item = items.get(line.sku)
        price: list[object] = ["", ""] if item is None else [item.price_minor, item.currency]
        if line.price_minor is not UNSET:
            price[0] = line.price_minor
        head = [order.id, _plain(order.customer), at, _plain(line.sku), line.quantity, order.status]
        rows.append([*head, *price, *cancelled, *attached, _allocations(line), *payment])
    return rows


def _allocations(line: Line) -> str:
    """Return where the units of a line are, as JSON; '' of an item that has no locations."""
    return "" if line.allocations is UNSET else _plain(msgspec.json.encode(line.allocations).decode())


def _plain(text: str) -> str:
    """Return text that no spreadsheet runs as a formula, wherever it splits the line (OWASP)."""
    quoted = FORMULA.sub(r"\1'\2", text)
    return f"'{quoted}" if quoted[:1] in ("\t", "\r", "\n") else quoted


OrderId = Annotated[str, Path(max_length=100, description="The order's id")]


@router.get(
    "/orders/{id}",
    response_model=OrderView,
    responses=problems(401, 403, 404, 409, 503),
    dependencies=[requires(Right.READ_ORDERS)],
    tags=["orders"],
)
async def read_order(request: Request, id: OrderId) -> Response:
    """Read an order, confirmed or cancelled. Of a hold, live or ended, the problem says what it is."""
    found = await guard_of(request).reservation(id)
    if isinstance(found, Refused):
        return problem(found)
    if found.status not in (CONFIRMED, CANCELLED):
        return problem(Refused(code=Code(f"reservation-{found.status}")))
    payments = payments_of(request)
    payment = None if payments is None else await payments.of_order(found.id)
    return json_response(msgspec.structs.replace(found, payment=payment))


@router.post(
    "/orders/{id}/cancel",
    response_model=ReservationView,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.CHANGE_ORDERS)],
    tags=["orders"],
)
async def cancel_order(
    request: Request,
    id: OrderId,
    body: CancelBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Cancel a confirmed order, or with `items` a part of it.

    A second cancel of an order returns the same order and changes nothing; so does the same key with `items`.
    """
    items = lines_of(body.items) or None
    action_of(request).about(id, **body.model_dump(exclude_unset=True))
    return outcome_response(
        await guard_of(request).orders.cancel(
            id, restock=body.restock, reason=body.reason, items=items, key=valid_key(idempotency_key)
        )
    )
