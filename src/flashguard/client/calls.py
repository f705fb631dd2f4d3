"""The calls that the clients make: method, path, body, and how the answer is read."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote

import httpx2
import msgspec
from msgspec import UNSET, Struct

from flashguard.model import FactPage, Item, Line, Location, Outcome, Pool, Reservation, Sale, Sku
from flashguard.waiting.place import Place

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
    identities: Mapping[str, str] | None = None


class BatchItem(Struct, frozen=True):
    """What one customer of a batch wants: the arguments of `reserve` and `buy`."""

    customer: str
    items: Basket
    key: str | None = None
    admission: str | None = None
    reference: str | None = None
    metadata: Mapping[str, str] | None = None
    identities: Mapping[str, str] | None = None


PAGE: Final = 500
MAX_WAIT_SECONDS: Final = 30.0
"""Seconds that one request waits for a fact."""
CONNECTIONS: Final = httpx2.Limits(max_connections=1_000, max_keepalive_connections=100, keepalive_expiry=4.0)
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


def take(noun: str, sale: str, basket: BatchItem) -> Call[Outcome]:
    return Call(
        "POST", f"/v1/sales/{safe(sale)}/{noun}", answers.outcome, _basket(basket), basket.key or _new_key()
    )


def take_many(noun: str, sale: str, requests: Sequence[BatchItem]) -> Call[list[Outcome]]:
    bodies = [{"key": each.key or _new_key(), **_basket(each)} for each in requests]
    path = f"/v1/sales/{safe(sale)}/{noun}:batch"
    return Call("POST", path, answers.outcomes, {"requests": bodies}, _new_key())


def _basket(basket: BatchItem) -> dict[str, Any]:
    attached = given(
        admission=basket.admission, reference=basket.reference, metadata=basket.metadata,
        identities=basket.identities,
    )  # fmt: skip
    return {"customer": basket.customer, "items": _lines(basket.items)} | attached


def _lines(items: Basket) -> list[dict[str, Any]]:
    return [
        {"sku": line.sku, "quantity": line.quantity}
        | ({} if line.location is UNSET else {"location": line.location})
        for line in lines_of(items)
    ]


def lines_of(items: Basket) -> tuple[Line, ...]:
    if isinstance(items, Mapping):
        return tuple(Line(Sku(sku), quantity) for sku, quantity in items.items())
    return tuple(items)


def confirm(id_: str, receipt: str | None) -> Call[Outcome]:
    body = None if receipt is None else {"receipt": receipt}
    return Call("POST", f"/v1/reservations/{safe(id_)}/confirm", answers.outcome, body, _new_key())


def release(id_: str) -> Call[Outcome]:
    return Call("POST", f"/v1/reservations/{safe(id_)}/release", answers.outcome, key=_new_key())


def extend(id_: str, key: str | None) -> Call[Outcome]:
    return Call("POST", f"/v1/reservations/{safe(id_)}/extend", answers.outcome, key=key or _new_key())


def amend(
    id_: str, items: Basket, restock: bool | None, reason: str | None, key: str | None
) -> Call[Outcome]:
    body = {"items": _lines(items)} | given(restock=restock, reason=reason)
    return Call("POST", f"/v1/reservations/{safe(id_)}/amend", answers.outcome, body, key or _new_key())


def transfer(id_: str, customer: str, key: str | None) -> Call[Outcome]:
    body = {"customer": customer}
    return Call("POST", f"/v1/reservations/{safe(id_)}/transfer", answers.outcome, body, key or _new_key())


def cancel(
    id_: str, restock: bool, reason: str | None, items: Basket | None, key: str | None
) -> Call[Outcome]:
    body = {"restock": restock} | given(reason=reason, items=None if items is None else _lines(items))
    return Call("POST", f"/v1/orders/{safe(id_)}/cancel", answers.outcome, body, key or _new_key())


def given(**fields: object) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def reservation(id_: str) -> Call[Reservation]:
    return Call("GET", f"/v1/reservations/{safe(id_)}", answers.reservation)


def sale(id_: str) -> Call[Sale]:
    return Call("GET", f"/v1/sales/{safe(id_)}", answers.sale)


def create_sale(
    name: str,
    items: Sequence[Item],
    pools: Sequence[Pool],
    locations: Sequence[Location],
    id_: str | None,
    rules: Mapping[str, object],
    key: str | None,
) -> Call[Sale]:
    goods = {"items": _items(items), "pools": _pools(pools), "locations": msgspec.to_builtins(locations)}
    body = {"name": name, **goods, **_plain(rules)}
    if id_ is not None:
        body["id"] = id_
    return Call("POST", "/v1/sales", answers.sale, body, key or _new_key())


def patch_sale(id_: str, items: Sequence[Item] | None, changes: Mapping[str, object]) -> Call[Sale]:
    body = _plain(changes) | ({} if items is None else {"items": _items(items)})
    return Call("PATCH", f"/v1/sales/{safe(id_)}", answers.sale, body)


def delete_sale(id_: str) -> Call[None]:
    return Call("DELETE", f"/v1/sales/{safe(id_)}", answers.deleted)


def _items(items: Sequence[Item]) -> list[dict[str, Any]]:
    return [_item(item) for item in items]


def _item(item: Item) -> dict[str, Any]:
    fields = ("sku", "name", "price_minor", "currency", "stock", "uses", "limit_per_customer")
    body = {name: msgspec.to_builtins(getattr(item, name)) for name in fields}
    if item.locations:
        body |= {"stock": None, "stock_by_location": {each.id: each.stock for each in item.locations}}
    return body


def _pools(pools: Sequence[Pool]) -> list[dict[str, Any]]:
    return [{"id": pool.id, "name": pool.name, "stock": pool.stock} for pool in pools]


def _plain(values: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else msgspec.to_builtins(value)
        for name, value in values.items()
    }


def change_sale(id_: str, verb: str, key: str | None) -> Call[Sale]:
    return Call("POST", f"/v1/sales/{safe(id_)}/{verb}", answers.sale, key=key or _new_key())


def restock(
    sale: str, sku: str, delta: int | None, reason: str, stock: int | None, key: str | None, *,
    of: str = "items", location: str | None = None,
) -> Call[dict[str, Any]]:  # fmt: skip
    path = f"/v1/sales/{safe(sale)}/{of}/{safe(sku)}/restock"
    body = given(delta=delta, stock=stock, location=location) | {"reason": reason}
    return Call("POST", path, answers.body, body, key or _new_key())


def add_item(sale: str, item: Item, key: str | None) -> Call[dict[str, Any]]:
    [body] = _items([item])
    return Call("POST", f"/v1/sales/{safe(sale)}/items", answers.body, body, key or _new_key())


def change_item(sale: str, sku: str, changes: Mapping[str, object], key: str | None) -> Call[dict[str, Any]]:
    path = f"/v1/sales/{safe(sale)}/items/{safe(sku)}"
    return Call("PATCH", path, answers.body, dict(changes), key or _new_key())


def remove_item(sale: str, sku: str, key: str | None) -> Call[None]:
    path = f"/v1/sales/{safe(sale)}/items/{safe(sku)}"
    return Call("DELETE", path, answers.done, key=key or _new_key())


def facts(after: str | None, wait: float) -> Call[FactPage]:
    query = {"limit": str(PAGE), "wait": f"{wait:g}"} | ({} if after is None else {"after": after})
    return Call("GET", "/v1/facts", answers.facts, query=query)


def wait_seconds(wait: float, timeout_seconds: float) -> float:
    """Return how long the service may wait within one attempt."""
    return max(0.0, min(wait, MAX_WAIT_SECONDS, timeout_seconds / 2))


def order(id_: str) -> Call[Reservation]:
    return Call("GET", f"/v1/orders/{safe(id_)}", answers.reservation)


def listed(noun: str, sale: str, **asked: str | None) -> Call[Page]:
    query = {"limit": str(PAGE)} | {name: value for name, value in asked.items() if value is not None}
    return Call("GET", f"/v1/sales/{safe(sale)}/{noun}", answers.page, query=query)


def ticket(sale: str, customer: str, shown: str | None) -> Call[Place | None]:
    """Return the call that takes a place in a room; its answer is None where the room demands a proof."""
    body = {"customer": customer} | given(ticket=shown)
    return Call("POST", f"/v1/sales/{safe(sale)}/tickets", answers.place_or_none, body)


def proven_ticket(sale: str, customer: str, shown: str | None, proof: str) -> Call[Place]:
    body = {"customer": customer, "proof": proof} | given(ticket=shown)
    return Call("POST", f"/v1/sales/{safe(sale)}/tickets", answers.place, body)


def place(sale: str, ticket: str) -> Call[Place]:
    return Call("GET", f"/v1/sales/{safe(sale)}/tickets/{safe(ticket)}", answers.place)


def challenge(sale: str, customer: str) -> Call[dict[str, Any]]:
    return Call("GET", f"/v1/sales/{safe(sale)}/challenge", answers.body, query={"customer": customer})


def tell_shadow(sale: str, attempts: Sequence[Told]) -> Call[dict[str, Any]]:
    body = {"attempts": msgspec.to_builtins(attempts)}
    return Call("POST", f"/v1/sales/{safe(sale)}/shadow/attempts", answers.body, body, _new_key())


def shadow_report(sale: str) -> Call[dict[str, Any]]:
    return Call("GET", f"/v1/sales/{safe(sale)}/shadow", answers.body)


def buyer_token(
    sale: str, customer: str, seconds: int | None, identities: Mapping[str, str] | None, key: str | None
) -> Call[BuyerToken]:
    body = {"customer": customer} | given(expires_in_seconds=seconds, identities=identities)
    return Call("POST", f"/v1/sales/{safe(sale)}/buyer-tokens", answers.buyer_token, body, key or _new_key())


def checked_url(url: str) -> str:
    """Return the address of a service.

    Raises:
        ClientError: it is not a full address.
    """
    if not url.startswith(("http://", "https://")):
        raise ClientError(f"{url!r} is not an address. Write it in full, as in http://127.0.0.1:8000.")
    return url


def safe(part: str) -> str:
    """Return an id as one part of a path.

    Raises:
        ClientError: it is empty, `.` or `..`, which a path can't contain.
    """
    if part in ("", ".", ".."):
        raise ClientError(f"{part!r} can't be an id.")
    return quote(part, safe="")


def _new_key() -> str:
    return uuid.uuid4().hex
