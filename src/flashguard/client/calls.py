"""The calls that the clients make: method, path, body, and how the answer is read."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from flashguard.model import Item, Line, Outcome, Reservation, Sale, Sku

from . import answers
from .answers import Answer, BuyerToken, ClientError, Page

T = TypeVar("T")

Basket = Mapping[str, int] | Sequence[Line]
"""Quantities by sku."""


class Call(Struct, Generic[T], frozen=True):
    """A request, the same at every attempt."""

    method: str
    path: str
    read: Callable[[Answer], T]
    body: dict[str, Any] | None = None
    key: str | None = None
    query: Mapping[str, str] = {}


class Told(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the shop's own stock decided about one attempt; `returned`: the units sold under the key came
    back."""

    key: str
    customer: str
    items: tuple[Line, ...]
    shop: Literal["sold", "refused", "returned"]
    reference: str | None = None


class BatchItem(Struct, frozen=True):
    """What one customer of a batch wants: the arguments of `reserve` and `buy`."""

    customer: str
    items: Basket
    key: str | None = None
    admission: str | None = None


PAGE: Final = 500
CONNECTIONS: Final = httpx.Limits(max_connections=1_000, max_keepalive_connections=100, keepalive_expiry=4.0)
"""Idle connections are closed before the service closes them (5 s); else a request could meet a closed
one."""


def headers_of(token: str | None, key: str | None) -> dict[str, str]:
    """Return the headers of a request.

    Raises:
        ClientError: the key or token contains characters that no header can contain.
    """
    headers = {"Accept": "application/json"}
    if token is not None:
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise ClientError(
                "The bearer contains a space, a line end, or a character such as … that no key or token has. "
                "Copy the whole key: lists show only its end, and it can't be shown again."
            )
        headers["Authorization"] = f"Bearer {token}"
    if key is not None:
        headers["Idempotency-Key"] = key
    return headers


def take(
    noun: str, sale: str, customer: str, items: Basket, key: str | None, admission: str | None
) -> Call[Outcome]:
    body = _basket(customer, items, admission)
    return Call("POST", f"/v1/sales/{_safe(sale)}/{noun}", answers.outcome, body, key or _new_key())


def take_many(noun: str, sale: str, requests: Sequence[BatchItem]) -> Call[list[Outcome]]:
    bodies = [
        {"key": each.key or _new_key(), **_basket(each.customer, each.items, each.admission)}
        for each in requests
    ]
    path = f"/v1/sales/{_safe(sale)}/{noun}:batch"
    return Call("POST", path, answers.outcomes, {"requests": bodies}, _new_key())


def _basket(customer: str, items: Basket, admission: str | None) -> dict[str, Any]:
    lines = [{"sku": line.sku, "quantity": line.quantity} for line in lines_of(items)]
    body: dict[str, Any] = {"customer": customer, "items": lines}
    return body if admission is None else body | {"admission": admission}


def lines_of(items: Basket) -> tuple[Line, ...]:
    if isinstance(items, Mapping):
        return tuple(Line(Sku(sku), quantity) for sku, quantity in items.items())
    return tuple(items)


def confirm(id_: str, receipt: str | None) -> Call[Outcome]:
    body = None if receipt is None else {"receipt": receipt}
    return Call("POST", f"/v1/reservations/{_safe(id_)}/confirm", answers.outcome, body, _new_key())


def release(id_: str) -> Call[Outcome]:
    return Call("POST", f"/v1/reservations/{_safe(id_)}/release", answers.outcome, key=_new_key())


def extend(id_: str, key: str | None) -> Call[Outcome]:
    return Call("POST", f"/v1/reservations/{_safe(id_)}/extend", answers.outcome, key=key or _new_key())


def reservation(id_: str) -> Call[Reservation]:
    return Call("GET", f"/v1/reservations/{_safe(id_)}", answers.reservation)


def sale(id_: str) -> Call[Sale]:
    return Call("GET", f"/v1/sales/{_safe(id_)}", answers.sale)


def create_sale(
    name: str,
    items: Sequence[Item],
    id_: str | None,
    rules: Mapping[str, object],
    key: str | None,
) -> Call[Sale]:
    body = {
        "name": name,
        "items": [
            {
                "sku": item.sku,
                "name": item.name,
                "price_minor": item.price_minor,
                "currency": item.currency,
                "stock": item.stock,
            }
            for item in items
        ],
        **{
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in rules.items()
        },
    }
    if id_ is not None:
        body["id"] = id_
    return Call("POST", "/v1/sales", answers.sale, body, key or _new_key())


def change_sale(id_: str, verb: str, key: str | None) -> Call[Sale]:
    return Call("POST", f"/v1/sales/{_safe(id_)}/{verb}", answers.sale, key=key or _new_key())


def restock(sale: str, sku: str, delta: int, reason: str, key: str | None) -> Call[dict[str, Any]]:
    path = f"/v1/sales/{_safe(sale)}/items/{_safe(sku)}/restock"
    return Call("POST", path, answers.body, {"delta": delta, "reason": reason}, key or _new_key())


def orders(sale: str, cursor: str | None) -> Call[Page]:
    query = {"limit": str(PAGE)} | ({} if cursor is None else {"cursor": cursor})
    return Call("GET", f"/v1/sales/{_safe(sale)}/orders", answers.page, query=query)


def tell_shadow(sale: str, attempts: Sequence[Told]) -> Call[dict[str, Any]]:
    body = {"attempts": msgspec.to_builtins(attempts)}
    return Call("POST", f"/v1/sales/{_safe(sale)}/shadow/attempts", answers.body, body, _new_key())


def shadow_report(sale: str) -> Call[dict[str, Any]]:
    return Call("GET", f"/v1/sales/{_safe(sale)}/shadow", answers.body)


def buyer_token(sale: str, customer: str, seconds: int | None, key: str | None) -> Call[BuyerToken]:
    body: dict[str, Any] = {"customer": customer}
    if seconds is not None:
        body["expires_in_seconds"] = seconds
    return Call("POST", f"/v1/sales/{_safe(sale)}/buyer-tokens", answers.buyer_token, body, key or _new_key())


def checked_url(url: str) -> str:
    """Return the address of a service.

    Raises:
        ClientError: it is not a full address.
    """
    if not url.startswith(("http://", "https://")):
        raise ClientError(f"{url!r} is not an address. Write it in full, as in http://127.0.0.1:8000.")
    return url


def _safe(part: str) -> str:
    """Return an id as one part of a path.

    Raises:
        ClientError: it is empty, `.` or `..`, which a path can't contain.
    """
    if part in ("", ".", ".."):
        raise ClientError(f"{part!r} can't be an id.")
    return quote(part, safe="")


def _new_key() -> str:
    return uuid.uuid4().hex
