"""A draft is edited in everything but its id, and deleted; what memory and the ledger have stays the same."""

import asyncio
from typing import Any

import pytest

from tests.support.service import Service, unique

ITEM = {"sku": "cap", "name": "Cap", "price_minor": 500, "currency": "USD", "stock": 3}


async def a_draft(service: Service, **more: Any) -> str:
    return await service.create_sale(opened=False, **{"spread": 1} | more)


async def faces(service: Service, sale: str) -> list[dict[str, Any]]:
    items = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()["items"]
    return [{name: item[name] for name in ITEM} for item in items]


async def test_a_drafts_items_are_replaced_and_sold_as_they_are_then(service: Service) -> None:
    draft = await a_draft(service, skus=("unit", "other"))
    boot = ITEM | {"sku": "boot", "name": "Boot", "stock": 1}
    edited = await service.admin("PATCH", f"/v1/sales/{draft}", {"items": [ITEM, boot], "name": "Hats"})
    assert (edited["name"], edited["status"]) == ("Hats", "draft")
    assert await faces(service, draft) == [ITEM, boot]
    await service.audit(draft)
    await service.admin("POST", f"/v1/sales/{draft}/open")
    order = {"customer": "ann", "items": [{"sku": "cap", "quantity": 3}]}
    (await service.call("POST", f"/v1/sales/{draft}/orders", order)).ok(201)
    (await service.call("POST", f"/v1/sales/{draft}/orders", order)).problem(409, "sold-out")
    (await service.buy(draft, "bob")).problem(404, "unknown-item")
    await service.audit(draft)


async def test_a_draft_is_edited_again_and_again_with_restocks_between(service: Service) -> None:
    draft = await a_draft(service, stock=5)
    more = {"delta": 4, "reason": "more"}
    for stock in (7, 2, 9):
        await service.admin("POST", f"/v1/sales/{draft}/items/unit/restock", more)
        unit = ITEM | {"sku": "unit", "stock": stock}
        calls = [
            service.call("PATCH", f"/v1/sales/{draft}", {"items": [ITEM, unit]}, admin=True),
            service.call("PATCH", f"/v1/sales/{draft}", {"limit_per_customer": stock}, admin=True),
        ]
        assert {answer.status for answer in await asyncio.gather(*calls)} == {200}
        restocked = await service.admin("POST", f"/v1/sales/{draft}/items/cap/restock", more)
        assert restocked["stock"] == 7
        assert [item["stock"] for item in await faces(service, draft)] == [7, stock]
    sale = (await service.call("GET", f"/v1/sales/{draft}", admin=True)).ok()
    assert sale["limit_per_customer"] == 9
    await service.audit(draft)


async def test_a_restocks_key_whose_item_is_gone_finds_no_item(service: Service) -> None:
    draft = await a_draft(service, stock=5)
    path, more, key = f"/v1/sales/{draft}/items/unit/restock", {"delta": 4, "reason": "more"}, unique("key")
    (await service.call("POST", path, more, key=key, admin=True)).ok()
    await service.admin("PATCH", f"/v1/sales/{draft}", {"items": [ITEM]})
    (await service.call("POST", path, more, key=key, admin=True)).problem(404, "unknown-item")


async def test_only_a_draft_gets_other_items_or_another_room_or_is_deleted(service: Service) -> None:
    sale = await a_draft(service, stock=5)
    path = f"/v1/sales/{sale}"
    edits: tuple[dict[str, Any], ...] = ({"items": [ITEM]}, {"waiting_room": {}}, {"waiting_room": None})
    for status in ("open", "pause", "close"):
        await service.admin("POST", f"{path}/{status}")
        for edit in edits:
            problem = (await service.call("PATCH", path, edit | {"name": "x"}, admin=True)).problem(
                409, "sale-not-draft"
            )
            assert problem["detail"].startswith("The sale is ")
        (await service.call("DELETE", path, admin=True)).problem(409, "sale-not-draft")
    assert (await service.call("GET", path)).ok()["name"] == "A sale of a test"
    assert (await service.item(sale))["stock"] == 5


@pytest.mark.parametrize(
    "edit",
    [
        {"items": []}, {"items": None}, {"items": [ITEM, ITEM]}, {"items": [ITEM | {"stock": -1}]},
        {"items": [ITEM | {"price_minor": -1}]}, {"items": [ITEM | {"held": 1}]}, {"items": {}},
        {"items": [ITEM | {"sku": ".."}]}, {"id": "other"}, {"spread": 2}, {"waiting_room": {"mode": "luck"}},
        {"waiting_room": {"max_active": 0}}, {"status": "open"},
    ],
)  # fmt: skip
async def test_what_no_draft_can_be_is_refused_and_changes_nothing(
    service: Service, edit: dict[str, Any]
) -> None:
    draft = await a_draft(service, stock=5)
    (await service.call("PATCH", f"/v1/sales/{draft}", edit, admin=True)).problem(422, "invalid-request")
    assert [item["sku"] for item in await faces(service, draft)] == ["unit"]


async def test_a_draft_gets_a_room_changes_its_mode_and_loses_it(service: Service) -> None:
    draft = await a_draft(service, stock=5)
    path = f"/v1/sales/{draft}"
    fifo = await service.admin("PATCH", path, {"waiting_room": {"mode": "fifo", "max_active": 7}})
    assert (fifo["waiting_room"]["mode"], fifo["waiting_room"]["max_active"]) == ("fifo", 7)
    lottery = (await service.admin("PATCH", path, {"waiting_room": {"mode": "lottery"}}))["waiting_room"]
    assert (lottery["mode"], lottery["max_active"]) == ("lottery", 7)
    assert lottery["commitment"] == fifo["waiting_room"]["commitment"]
    await service.admin("POST", f"{path}/open")
    (await service.buy(draft, "ann")).problem(403, "queue-required")
    same = {"waiting_room": {"mode": "lottery", "max_active": 8}}
    assert (await service.admin("PATCH", path, same))["waiting_room"]["max_active"] == 8
    (await service.call("PATCH", path, {"waiting_room": {"mode": "fifo"}}, admin=True)).problem(
        409, "sale-not-draft"
    )
    other = await a_draft(service, stock=5, waiting_room={"mode": "lottery"})
    assert (await service.admin("PATCH", f"/v1/sales/{other}", {"waiting_room": None}))[
        "waiting_room"
    ] is None
    await service.admin("POST", f"/v1/sales/{other}/open")
    (await service.buy(other, "ann")).ok(201)


async def test_a_deleted_draft_is_gone_and_its_id_and_keys_are_free(service: Service) -> None:
    draft = await a_draft(service, stock=5)
    path, key = f"/v1/sales/{draft}", unique("key")
    more = {"delta": 4, "reason": "more"}
    (await service.call("POST", f"{path}/items/unit/restock", more, key=key, admin=True)).ok()
    await service.admin("POST", f"{path}/shadow")
    for _ in range(3):
        assert (await service.call("DELETE", path, admin=True)).status == 204
        (await service.call("GET", path, admin=True)).problem(404, "unknown-sale")
        (await service.call("DELETE", path, admin=True)).problem(404, "unknown-sale")
        (await service.call("PATCH", path, {"name": "x"}, admin=True)).problem(404, "unknown-sale")
        (await service.call("POST", f"{path}/open", admin=True)).problem(404, "unknown-sale")
        (await service.buy(draft, "ann")).problem(404, "unknown-sale")
        again = {"id": draft, "name": "Again", "items": [ITEM | {"sku": "unit"}], "spread": 1}
        assert (await service.call("POST", "/v1/sales", again, admin=True)).ok(201)["name"] == "Again"
        restocked = await service.call("POST", f"{path}/items/unit/restock", more, key=key, admin=True)
        assert (restocked.ok()["stock"], restocked.replayed) == (7, False)
        await service.audit(draft)
    await service.admin("POST", f"{path}/open")
    (await service.buy(draft, "ann")).ok(201)
    await service.audit(draft)


async def test_a_delete_and_an_open_at_once_end_with_one_of_them(service: Service) -> None:
    for _ in range(5):
        draft = await a_draft(service, stock=5)
        path = f"/v1/sales/{draft}"
        opened, deleted = await asyncio.gather(
            service.call("POST", f"{path}/open", admin=True), service.call("DELETE", path, admin=True)
        )
        if deleted.status == 204:
            assert opened.status in (404, 503), opened
            (await service.call("GET", path, admin=True)).problem(404, "unknown-sale")
        else:
            deleted.problem(409, "sale-not-draft")
            assert opened.ok()["status"] == "open"


async def test_a_spread_draft_keeps_its_items(service: Service) -> None:
    draft = await a_draft(service, stock=5, spread=2)
    answer = await service.call("PATCH", f"/v1/sales/{draft}", {"items": [ITEM]}, admin=True)
    assert answer.problem(422, "invalid-request")["detail"].startswith("spread: ")
    answer = await service.call("DELETE", f"/v1/sales/{draft}", admin=True)
    assert answer.problem(422, "invalid-request")["detail"].startswith("spread: ")
    await service.audit(draft)


async def test_buyers_and_reading_keys_edit_and_delete_no_draft(service: Service) -> None:
    draft = await a_draft(service, stock=5)
    key = await service.admin("POST", "/v1/keys", {"name": "a test's", "scopes": ["read"]})
    reading = {"Authorization": f"Bearer {key['key']}"}
    for method, body in (("PATCH", {"items": [ITEM]}), ("DELETE", None)):
        answer = await service.call(method, f"/v1/sales/{draft}", body, headers=reading)
        answer.problem(403, "forbidden")
        (await service.call(method, f"/v1/sales/{draft}", body)).problem(401, "unauthenticated")
    assert [item["sku"] for item in await faces(service, draft)] == ["unit"]
