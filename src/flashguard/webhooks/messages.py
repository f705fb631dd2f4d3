"""An event as the body of a message: the same bytes at every attempt."""

import hashlib
import json
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from flashguard.model import public_sale

from .endpoints import TEST_EVENT

_encode = msgspec.json.Encoder().encode
_STATUS: Final = {
    "reservation.held": "held",
    "reservation.released": "released",
    "reservation.expired": "expired",
    "order.confirmed": "confirmed",
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


def message_id(type_: str, sale_id: str, reservation: str, at: datetime) -> str:
    """Return the id of an event, so that a receiver recognises it at every attempt and replay."""
    name = "\n".join((type_, sale_id, reservation, at.isoformat()))
    return f"msg_{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def message_of(row: asyncpg.Record) -> Message:
    """Return a claimed delivery as a message."""
    body = {"type": row["type"], "timestamp": row["at"], "data": _data(row)}
    return Message(
        delivery=row["id"],
        attempts=row["attempts"],
        trying_seconds=row["trying_seconds"],
        id=message_id(row["type"], row["sale_id"], row["reservation"], row["at"]),
        body=_encode(body),
    )


def _data(row: asyncpg.Record) -> dict[str, Any]:
    if row["type"] == TEST_EVENT:
        return {"webhook_id": row["endpoint"]}
    if not row["reservation"]:
        status = {"status": row["detail"]} if row["detail"] else {}
        return {"sale_id": public_sale(row["sale_id"]), **status}
    flat = json.loads(row["lines"]) if row["lines"] else []
    data: dict[str, Any] = {
        "id": f"{row['sale_id']}.{row['reservation']}",
        "sale_id": public_sale(row["sale_id"]),
        "customer": row["customer"],
        "status": _STATUS[row["type"]],
        "items": [{"sku": sku, "quantity": units} for sku, units in zip(flat[::2], flat[1::2], strict=True)],
    }
    if row["type"] == "ledger.refused":
        return data | {"reason": row["detail"]}
    data |= {name: row[name] for name in ("created_at", "expires_at", "confirmed_at")}
    if row["type"] == "order.cancelled":
        data |= {"cancelled_at": row["at"], "restocked": row["restocked"], "reason": row["detail"]}
    return data
