"""Encodes the model's nouns as JSON responses."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from flashguard.api.responses.encoded import Encoded, Head
from flashguard.api.responses.problems import RefusedError, problem
from flashguard.errors import Code
from flashguard.model import Granted, Item, LocationStock, Outcome, Pool, Refused, Reservation, Sale
from flashguard.model.rules import fields

_encode = msgspec.json.Encoder().encode


_JSON: Final = Head((b"content-type", b"application/json"))
_JSON_REPLAYED: Final = Head(*_JSON.pairs, (b"idempotent-replayed", b"true"))


def json_response(value: object, status: int = 200, *, replayed: bool = False) -> Encoded:
    """Return a msgspec-encodable value as a JSON response."""
    return Encoded(_encode(value), status, _JSON_REPLAYED if replayed else _JSON)


def item_view(item: Item) -> dict[str, Any]:
    return {
        "sku": item.sku,
        "name": item.name,
        "price_minor": item.price_minor,
        "currency": item.currency,
        "stock": item.stock_in_all,
        "available": item.available,
        "held": item.held,
        "sold": item.sold,
        "uses": item.uses,
        "locations": [location_stock(each) for each in item.locations],
        "limit_per_customer": item.limit_per_customer,
        "on_sale": item.on_sale,
    }


def location_stock(at: LocationStock) -> dict[str, Any]:
    return {"id": at.id, "stock": at.stock, "available": at.available, "held": at.held, "sold": at.sold}


def pool_view(pool: Pool) -> dict[str, Any]:
    return {
        "id": pool.id,
        "name": pool.name,
        "stock": pool.stock,
        "available": pool.available,
        "held": pool.held,
        "sold": pool.sold,
    }


def sale_view(sale: Sale) -> dict[str, Any]:
    return {
        "id": sale.id,
        "name": sale.name,
        "status": sale.status,
        "starts_at": sale.starts_at,
        "ends_at": sale.ends_at,
        "hold_seconds": sale.hold_seconds,
        "limit_per_customer": sale.limit_per_customer,
        "limits": sale.limits,
        "hold_durability": sale.hold_durability,
        "effective_hold_durability": sale.effective_hold_durability,
        "spread": sale.spread,
        **fields(sale.rules),
        "waiting_room": sale.waiting_room,
        "room": sale.room,
        "created_at": sale.created_at,
        "items": [item_view(item) for item in sale.items],
        "pools": [pool_view(pool) for pool in sale.pools],
        "locations": sale.locations,
        "split": sale.split,
    }


def outcome_response(outcome: Outcome | Reservation, status: int = 200) -> Encoded:
    """Return the response of an outcome: the reservation with this status, or the problem."""
    if isinstance(outcome, Granted):
        return json_response(outcome.reservation, status, replayed=outcome.replayed)
    return problem(outcome) if isinstance(outcome, Refused) else json_response(outcome, status)


def encode_cursor(time: datetime, id_: str) -> str:
    """Return an opaque cursor of a list ordered by time and id."""
    return base64.urlsafe_b64encode(f"{time.isoformat()}|{id_}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """Return the time and id that a cursor names.

    Raises:
        RefusedError: the cursor is not valid.
    """
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        time, bar, id_ = text.partition("|")
        if bar and "\0" not in id_:
            return datetime.fromisoformat(time).astimezone(UTC), id_
    except (ValueError, OverflowError, binascii.Error):
        pass
    raise RefusedError(Refused(code=Code.INVALID_REQUEST, detail="cursor: is not valid"))


def page(rows: list[Any], limit: int, cursor_of: Any, view: Any) -> dict[str, Any]:
    """Return a page of at most `limit` rows. One more row than the limit means that there is a next page."""
    more = len(rows) > limit
    rows = rows[:limit]
    return {"data": [view(row) for row in rows], "next_cursor": cursor_of(rows[-1]) if more else None}


def secret_response(value: object, status: int = 201, *, replayed: bool = False) -> Encoded:
    """Return a JSON response that must not be cached."""
    response = json_response(value, status, replayed=replayed)
    response.more.append((b"cache-control", b"no-store"))
    return response
