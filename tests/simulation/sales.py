"""The sale of a run, as the campaign's plan says."""

import random
from typing import Any, Final

import msgspec

from flashguard.model import Durability, Item, Pool
from flashguard.model.rules import Rules
from flashguard.model.sale import IdentityLimit, Location, LocationStock
from flashguard.shop.new_sale import NewSale
from tests.campaign.goods import sale_body
from tests.campaign.history import History
from tests.campaign.plan import Plan, plan

DURABILITIES: Final = (Durability.DISK, Durability.REPLICATED)


def new_sale(the: Plan, history: History, durability: Durability) -> NewSale:
    """Return the sale to create."""
    body = sale_body(the, history)
    return NewSale(
        name=body["name"], id=body["id"], hold_seconds=body["hold_seconds"],
        limit_per_customer=body["limit_per_customer"], spread=body["spread"],
        items=tuple(map(_item, body["items"])), pools=msgspec.convert(body["pools"], tuple[Pool, ...]),
        locations=msgspec.convert(body.get("locations", ()), tuple[Location, ...]),
        split=body.get("split", False), hold_durability=durability,
        limits=msgspec.convert(body.get("limits", ()), tuple[IdentityLimit, ...]),
        rules=Rules(
            waiting_list=body["waiting_list"],
            max_held_per_customer=body.get("max_held_per_customer"),
            cool_down_after=body.get("cool_down_after"),
            cool_down_seconds=body.get("cool_down_seconds"),
        ),
    )  # fmt: skip


def _item(body: dict[str, Any]) -> Item:
    at = body.pop("stock_by_location", {})
    locations = tuple(LocationStock(id=place, stock=stock) for place, stock in at.items())
    return msgspec.structs.replace(msgspec.convert(body, Item), locations=locations)


def plan_of(seed: str, rng: random.Random, partitions: int) -> Plan:
    """Return the first sale's plan."""
    drawn = plan(seed, 0, "kill recorder")
    spread = 1 if drawn.spread == 1 else rng.choice([1, partitions, partitions])
    most = 15 if drawn.waiting_list else 80
    return msgspec.structs.replace(
        drawn, buyers=rng.randint(3, 8), customers=rng.randint(4, 30), stock=rng.randint(5, most),
        spread=spread, card_limit=drawn.card_limit if spread == 1 else None,
    )  # fmt: skip
