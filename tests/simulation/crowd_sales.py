"""The sales on which a run's crowd does everything, and the one that admits no buyer."""

import random
from typing import Final

from flashguard.model import Item, RoomMode, SaleId, Sku, WaitingRoom
from flashguard.model.names import MinorUnits
from flashguard.model.rules import Rules
from flashguard.shop.new_sale import NewSale

CROWD: Final = SaleId("crowd")
DOOR: Final = SaleId("door")
PLENTY: Final = 200
PRICE: Final = MinorUnits(100)
SKUS: Final = (Sku("a"), Sku("b"))


def crowd_sale(rng: random.Random, partitions: int) -> NewSale:
    """Return the sale: mostly scarce, with a waiting list, and sometimes with more rules."""
    rules = Rules(
        waiting_list=20,
        waiting_list_hold_seconds=1,
        max_held_per_customer=rng.choice([None, 2, 4]),
        cool_down_after=rng.choice([None, 2]),
        cool_down_seconds=rng.choice([None, 2]),
    )
    stocks, limit = (rng.randint(2, 9), rng.choice([rng.randint(2, 9), PLENTY])), rng.choice([None, 3, 3, 6])
    if rng.random() < 0.3:  # little is refused, so most keys lead to something
        rules, stocks, limit = Rules(waiting_list=20, waiting_list_hold_seconds=1), (PLENTY, PLENTY), None
    items = tuple(
        Item(sku=sku, name=sku, price_minor=PRICE, currency="EUR", stock=stock)
        for sku, stock in zip(SKUS, stocks, strict=True)
    )
    return NewSale(
        name="Crowd", id=CROWD, hold_seconds=1, items=items, rules=rules,
        limit_per_customer=limit, spread=rng.choice([1, 2, 2, partitions]),
    )  # fmt: skip


def door_sale() -> NewSale:
    """Return the sale whose waiting room admits no buyer, because none takes a ticket."""
    item = Item(sku=SKUS[0], name="a", price_minor=PRICE, currency="EUR", stock=5)
    room = WaitingRoom(mode=RoomMode.FIFO)
    return NewSale(name="Door", id=DOOR, hold_seconds=1, items=(item,), waiting_room=room)
