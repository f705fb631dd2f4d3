"""The sale of a run, as the campaign's plan says."""

from typing import Any

import msgspec

from flashguard.model import Item, Pool
from flashguard.model.sale import IdentityLimit, Location, LocationStock
from flashguard.shop.new_sale import NewSale
from tests.campaign.goods import sale_body
from tests.campaign.history import History
from tests.campaign.plan import Plan


def new_sale(plan: Plan, history: History) -> NewSale:
    """Return the sale to create."""
    body = sale_body(plan, history)
    return NewSale(
        name=body["name"], id=body["id"], hold_seconds=body["hold_seconds"],
        limit_per_customer=body["limit_per_customer"], spread=body["spread"],
        items=tuple(map(_item, body["items"])), pools=msgspec.convert(body["pools"], tuple[Pool, ...]),
        locations=msgspec.convert(body.get("locations", ()), tuple[Location, ...]),
        split=body.get("split", False),
        limits=msgspec.convert(body.get("limits", ()), tuple[IdentityLimit, ...]),
    )  # fmt: skip


def _item(body: dict[str, Any]) -> Item:
    at = body.pop("stock_by_location", {})
    locations = tuple(LocationStock(id=place, stock=stock) for place, stock in at.items())
    return msgspec.structs.replace(msgspec.convert(body, Item), locations=locations)
