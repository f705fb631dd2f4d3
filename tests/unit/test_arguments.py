"""The library's bounds are those of the HTTP contract."""

from typing import Any

import pytest

from flashguard.api.schemas.goods import ItemBody
from flashguard.api.schemas.sales import SaleBody, SalePatch, WaitingRoomBody, WaitingRoomPatch
from flashguard.model import MAX_PRICE_MINOR, MAX_STOCK
from flashguard.model.arguments import (
    ADMIT_LEAST,
    ADMIT_MOST,
    BOUNDS,
    CHANGEABLE,
    MAX_ITEMS,
    ROOM_BOUNDS,
)
from flashguard.model.rules import MAX_SPREAD


def bounds(model: Any) -> dict[str, tuple[Any, Any]]:
    """Return the least and the most of each number of a body."""
    found = {}
    for name, schema in model.model_json_schema()["properties"].items():
        for one in (schema, *schema.get("anyOf", [])):
            if "maximum" in one:
                found[name] = (one["minimum"], one["maximum"])
    return found


@pytest.mark.parametrize("model", [SaleBody, SalePatch])
def test_the_numbers_of_a_sale_have_the_bounds_of_the_contract(model: Any) -> None:
    assert {name: both for name, both in bounds(model).items() if name != "spread"} == BOUNDS


@pytest.mark.parametrize("model", [WaitingRoomBody, WaitingRoomPatch])
def test_the_numbers_of_a_waiting_room_have_the_bounds_of_the_contract(model: Any) -> None:
    assert bounds(model) == ROOM_BOUNDS | {"admit_per_second": (ADMIT_LEAST, ADMIT_MOST)}


def test_a_new_sale_and_its_items_have_the_bounds_of_the_contract() -> None:
    assert bounds(SaleBody)["spread"] == (1, MAX_SPREAD)
    assert SaleBody.model_json_schema()["properties"]["items"]["maxItems"] == MAX_ITEMS
    assert bounds(ItemBody) == {
        "price_minor": (0, MAX_PRICE_MINOR), "stock": (0, MAX_STOCK), "limit_per_customer": (1, MAX_STOCK)
    }  # fmt: skip


def test_what_the_contract_can_change_the_library_can_change() -> None:
    assert set(SalePatch.model_fields) == CHANGEABLE
