"""What a round sells: plain items, items that draw from pools, or items whose stock is at locations."""

from typing import Any

from flashguard.model.locations import counter_at
from tests.campaign.history import History
from tests.campaign.plan import Plan

SCARCE, OTHER, PROBE = "scarce", "other", "probe"
PLACES = ("north", "south")
"""The locations, in the sale's order."""
PLENTY = 100_000
COOL_DOWN_SECONDS = 1


def new_history(sale: str, the: Plan) -> History:
    """Return the history of a round before its first request. With pools both items draw from one hall, which
    is scarcer than their stocks. With locations most of one item is north, most of the other south."""
    history = History(sale, the.limit, {SCARCE: the.stock, OTHER: the.stock, PROBE: PLENTY})
    history.hold_seconds, history.holds_kept = the.hold_seconds, the.replicated
    if the.goods == "pools":
        history.stock |= {"hall": the.stock + the.stock // 2, "desk": the.stock}
        history.recipes = {SCARCE: {"hall": 1}, OTHER: {"hall": 2, "desk": 1}}
    if the.goods == "locations":
        third = the.stock // 3
        for sku, north in ((SCARCE, the.stock - third), (OTHER, third)):
            for place, stock in zip(PLACES, (north, the.stock - north), strict=True):
                history.stock[counter_at(sku, place)] = stock
        history.split = the.split
    if the.item_limit is not None:
        history.item_limits = {SCARCE: the.item_limit}
    if the.card_limit is not None:
        history.card_limit, history.card_skus = the.card_limit, (SCARCE, OTHER)
    history.waiting_list, history.max_held = the.waiting_list is not None, the.max_held
    if the.cool_down_after is not None:
        history.cool_down_ms, history.cool_down_after = COOL_DOWN_SECONDS * 1000, the.cool_down_after
        history.cards_hold = the.card_limit is not None
    return history


def sale_body(the: Plan, history: History) -> dict[str, Any]:
    """Return the request that creates the round's sale."""
    body: dict[str, Any] = {
        "id": history.sale, "name": f"Round {the.number}", "hold_seconds": the.hold_seconds,
        "limit_per_customer": the.limit, "spread": the.spread, "waiting_list": the.waiting_list,
        "items": [_item(sku, history) for sku in (SCARCE, OTHER, PROBE)],
        "pools": [{"id": pool, "name": pool, "stock": history.stock[pool]} for pool in sorted(history.pools)],
    }  # fmt: skip
    if the.replicated:
        body["hold_durability"] = "replicated"
    if history.located:
        body |= {"locations": [{"id": place, "name": place} for place in PLACES], "split": history.split}
    if history.card_limit is not None:
        limit = {"by": "card", "units": history.card_limit, "skus": history.card_skus}
        body["limits"] = [limit | {"hold_rules": history.cards_hold}]
    if history.cool_down_ms:
        body |= {"max_held_per_customer": the.max_held, "cool_down_seconds": COOL_DOWN_SECONDS}
        body["cool_down_after"] = history.cool_down_after
    return body


def _item(sku: str, history: History) -> dict[str, Any]:
    item: dict[str, Any] = {"sku": sku, "name": sku, "price_minor": 100, "currency": "EUR"}
    item["limit_per_customer"] = history.item_limits.get(sku)
    if sku in history.located:
        return item | {
            "stock_by_location": {place: history.stock[counter_at(sku, place)] for place in PLACES}
        }
    uses = [{"pool": pool, "quantity": units} for pool, units in history.recipes.get(sku, {}).items()]
    return item | {"stock": history.stock[sku], "uses": uses}
