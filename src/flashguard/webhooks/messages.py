"""An event as the body of a message: the same bytes at every attempt."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from flashguard.ledger import lines_from_flat
from flashguard.model import priced, public_sale
from flashguard.model.attached import NAMES as ATTACHED
from flashguard.model.locations import allocated

from .endpoints import TEST_EVENT

_encode = msgspec.json.Encoder().encode
_STATUS: Final = {
    "reservation.held": "held",
    "reservation.amended": "held",
    "reservation.released": "released",
    "reservation.expired": "expired",
    "order.confirmed": "confirmed",
    "order.amended": "confirmed",
    "order.cancelled": "cancelled",
    "ledger.refused": "refused",
}


class Message(Struct, frozen=True, kw_only=True):
    """One claimed event for one endpoint."""

    delivery: int
    attempts: int
    trying_seconds: float
    """Seconds since its first attempt, or its replay."""
    id: str
    body: bytes


def message_id(type_: str, sale_id: str, reservation: str, at: datetime, revision: int = 0) -> str:
    """Return the id of an event, so that a receiver recognises it at every attempt and replay.

    Parameters:
        revision: of an amended reservation, which may be amended twice in one millisecond.
    """
    name = "\n".join((type_, sale_id, reservation, at.isoformat(), *([str(revision)] if revision else ())))
    return f"msg_{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def id_of(row: asyncpg.Record) -> str:
    """Return the id of the event of a delivery or a fact."""
    revision = details_of(row).get("revision", 0)
    return message_id(row["type"], row["sale_id"], row["reservation"], row["at"], revision)


def message_of(row: asyncpg.Record) -> Message:
    """Return a claimed delivery as a message."""
    body = {"type": row["type"], "timestamp": row["at"], "data": data_of(row)}
    return Message(
        delivery=row["id"],
        attempts=row["attempts"],
        trying_seconds=row["trying_seconds"],
        id=id_of(row),
        body=_encode(body),
    )


def details_of(row: asyncpg.Record) -> dict[str, Any]:
    """Return what a row has of an amended reservation: `revision`, and the items `cancelled` so far; of a
    refund, its `payment`."""
    return json.loads(row["details"]) if row["details"] else {}


def _items(flat: list[Any], prices: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"sku": sku, "quantity": units, **({"price_minor": prices[sku]} if sku in prices else {})}
        for sku, units in zip(flat[::2], flat[1::2], strict=True)
    ]


def data_of(row: asyncpg.Record) -> dict[str, Any]:
    """Return what an event says."""
    if row["type"] == TEST_EVENT:
        return {"webhook_id": row["endpoint"]}
    if not row["reservation"]:
        status = {"status": row["detail"]} if row["detail"] else {}
        return {"sale_id": public_sale(row["sale_id"]), **status}
    payment = details_of(row).get("payment")
    if payment is not None:
        return {
            "id": f"{row['sale_id']}.{row['reservation']}", "sale_id": public_sale(row["sale_id"]),
            "customer": row["customer"], "payment_id": payment["id"], "provider": payment["provider"],
            "refund_id": payment["refund"], "amount_minor": payment["amount_minor"],
            "currency": payment["currency"], "reason": row["detail"],
        }  # fmt: skip
    flat = json.loads(row["lines"]) if row["lines"] else []
    attached = json.loads(row["attached"]) if row["attached"] else {}
    first = json.loads(row["first_prices"]) if row["first_prices"] else {}
    prices = first | attached.get("prices", {})
    data: dict[str, Any] = {
        "id": f"{row['sale_id']}.{row['reservation']}",
        "sale_id": public_sale(row["sale_id"]),
        "customer": row["customer"],
        "status": _STATUS[row["type"]],
        "items": _items(flat, prices),
    }
    if row["type"] == "ledger.refused":
        return data | {"reason": row["detail"]}
    data |= {name: row[name] for name in ("created_at", "expires_at", "confirmed_at")}
    cancelled = details_of(row).get("cancelled")
    if cancelled:
        data["cancelled_items"] = _items(cancelled, prices)
    if "takes" in attached:
        data["items"] = priced(allocated(lines_from_flat(flat), attached["takes"]), prices)
    data |= {name: attached[name] for name in ATTACHED if name in attached}
    if row["type"] == "order.amended":
        data |= {"restocked": row["restocked"], "reason": row["detail"]}
    if row["type"].endswith(".amended"):
        data["amended_at"] = row["at"]
    if row["type"] == "order.cancelled":
        data |= {"cancelled_at": row["at"], "restocked": row["restocked"], "reason": row["detail"]}
    return data
