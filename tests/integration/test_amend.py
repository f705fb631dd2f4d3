"""What is held or bought can be changed: another basket, another customer, fewer units; in one step."""

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from tests.support.service import Answer, Service, unique


async def amend(service: Service, id_: str, items: dict[str, int], **more: Any) -> Answer:
    key, headers, admin = more.pop("key", None), more.pop("headers", None), more.pop("admin", True)
    body = {"items": lines(items), **more}
    path = f"/v1/reservations/{id_}/amend"
    return await service.call("POST", path, body, key=key, headers=headers, admin=admin)


async def cancel(service: Service, id_: str, items: dict[str, int] | None = None, **more: Any) -> Answer:
    key = more.pop("key", None)
    body = {"restock": True} | ({} if items is None else {"items": lines(items)}) | more
    return await service.call("POST", f"/v1/orders/{id_}/cancel", body, key=key, admin=True)


async def transfer(service: Service, id_: str, customer: str, **more: Any) -> Answer:
    path = f"/v1/reservations/{id_}/transfer"
    return await service.call("POST", path, {"customer": customer}, admin=True, **more)


async def take(
    service: Service, noun: str, sale: str, customer: str, items: dict[str, int]
) -> dict[str, Any]:
    body = {"customer": customer, "items": lines(items)}
    return (await service.call("POST", f"/v1/sales/{sale}/{noun}", body)).ok(201)


def lines(items: dict[str, int]) -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": quantity} for sku, quantity in items.items()]


async def counters(service: Service, sale: str, *skus: str) -> list[tuple[int, int, int]]:
    found = [await service.item(sale, sku) for sku in skus]
    return [(item["stock"], item["held"], item["sold"]) for item in found]


AB = ("a", "b")


async def test_a_hold_is_amended_in_one_step_and_keeps_its_end(service: Service) -> None:
    sale = await service.create_sale(stock=5, skus=AB)
    held = await take(service, "reservations", sale, "ann", {"a": 4})
    changed = (await amend(service, held["id"], {"a": 1, "b": 3}, admin=False)).ok()
    assert changed["items"] == lines({"a": 1, "b": 3})
    assert changed["receipt"] != held["receipt"]
    same = ("id", "customer", "status", "created_at", "expires_at")
    assert {name: changed[name] for name in same} == {name: held[name] for name in same}
    assert await counters(service, sale, *AB) == [(5, 1, 0), (5, 3, 0)]
    seen = (await service.call("GET", f"/v1/reservations/{held['id']}")).ok()
    assert seen == changed
    order = (await service.verb(held["id"], "confirm")).ok()
    assert order["items"] == lines({"a": 1, "b": 3})
    assert await counters(service, sale, *AB) == [(5, 0, 1), (5, 0, 3)]
    await service.audit(sale)


async def test_only_the_difference_must_be_available(service: Service) -> None:
    sale = await service.create_sale(stock=5, limit=5)
    held = await take(service, "reservations", sale, "ann", {"unit": 4})
    (await amend(service, held["id"], {"unit": 5}, admin=False)).ok()
    (await service.hold(sale, "bob")).problem(409, "sold-out")
    refused = await amend(service, held["id"], {"unit": 6}, admin=False)
    assert refused.problem(409, "limit-reached")["limit"] == 5
    assert (await service.call("GET", f"/v1/reservations/{held['id']}")).ok()["items"] == lines({"unit": 5})


async def test_a_refusal_leaves_everything_as_it_was(service: Service) -> None:
    sale = await service.create_sale(stock=5, skus=AB)
    held = await take(service, "reservations", sale, "ann", {"a": 2})
    order = await take(service, "orders", sale, "bob", {"a": 2})
    await take(service, "orders", sale, "eve", {"b": 4})
    for id_ in (held["id"], order["id"]):
        problem = (await amend(service, id_, {"a": 1, "b": 2})).problem(409, "sold-out")
        assert (problem["sku"], problem["available"]) == ("b", 1)
    assert await counters(service, sale, *AB) == [(5, 2, 2), (5, 0, 4)]
    assert (await service.call("GET", f"/v1/reservations/{held['id']}")).ok()["items"] == lines({"a": 2})
    assert (await service.call("GET", f"/v1/reservations/{order['id']}")).ok()["items"] == lines({"a": 2})
    await service.audit(sale)


async def test_an_order_takes_more_gives_back_and_exchanges(service: Service) -> None:
    sale = await service.create_sale(stock=5, skus=AB)
    order = await take(service, "orders", sale, "ann", {"a": 2})
    more = (await amend(service, order["id"], {"a": 3})).ok()
    assert (more["status"], more["items"], more["confirmed_at"]) == (
        "confirmed", lines({"a": 3}), order["confirmed_at"],
    )  # fmt: skip
    (await amend(service, order["id"], {"b": 3}, restock=False, reason="broken")).ok()
    assert await counters(service, sale, *AB) == [(2, 0, 0), (5, 0, 3)]
    (await amend(service, order["id"], {"b": 1})).ok()
    assert await counters(service, sale, *AB) == [(2, 0, 0), (5, 0, 1)]
    report = await service.audit(sale)
    assert [item["stock"] for item in report["items"]] == [2, 5]


async def test_a_part_of_an_order_is_cancelled_until_nothing_is_left(service: Service) -> None:
    sale = await service.create_sale(stock=9, limit=6, skus=AB)
    order = await take(service, "orders", sale, "ann", {"a": 3, "b": 2})
    one = (await cancel(service, order["id"], {"a": 1}, key="k1", reason="too small")).ok()
    assert (one["status"], one["items"]) == ("confirmed", lines({"a": 2, "b": 2}))
    assert one["cancelled_items"] == lines({"a": 1})
    again = await cancel(service, order["id"], {"a": 1}, key="k1", reason="too small")
    assert again.replayed
    assert again.ok() == one
    two = (await cancel(service, order["id"], {"b": 2, "a": 1}, key="k2", restock=False)).ok()
    assert (two["items"], two["cancelled_items"]) == (lines({"a": 1}), lines({"a": 2, "b": 2}))
    assert await counters(service, sale, *AB) == [(8, 0, 1), (7, 0, 0)]
    last = (await cancel(service, order["id"], {"a": 1}, key="k3")).ok()
    assert (last["status"], last["items"]) == ("cancelled", lines({"a": 1}))
    assert last["cancelled_items"] == lines({"a": 2, "b": 2})
    assert (await cancel(service, order["id"], {"a": 1}, key="k3")).ok() == last
    (await cancel(service, order["id"], {"a": 1}, key="k4")).problem(409, "reservation-cancelled")
    assert (await cancel(service, order["id"])).ok() == last
    assert await counters(service, sale, *AB) == [(8, 0, 0), (7, 0, 0)]
    await take(service, "orders", sale, "ann", {"a": 6})
    await service.audit(sale)


async def test_a_key_changes_once_and_another_body_under_it_is_refused(service: Service) -> None:
    sale = await service.create_sale(stock=9)
    held = (await service.hold(sale, "ann", 2)).ok(201)
    changed = (await amend(service, held["id"], {"unit": 3}, key="k")).ok()
    (await amend(service, held["id"], {"unit": 4}, key="other")).ok()
    again = await amend(service, held["id"], {"unit": 3}, key="k")
    assert again.replayed
    assert again.ok()["items"] == lines({"unit": 4}), "as it is now"
    assert changed["items"] == lines({"unit": 3})
    (await amend(service, held["id"], {"unit": 2}, key="k")).problem(422, "idempotency-mismatch")
    order = (await service.buy(sale, "bob", 3)).ok(201)
    (await cancel(service, order["id"], {"unit": 1}, key="c")).ok()
    (await cancel(service, order["id"], {"unit": 2}, key="c")).problem(422, "idempotency-mismatch")
    assert await counters(service, sale, "unit") == [(9, 4, 2)]


async def test_the_key_of_the_hold_still_answers_its_first_outcome(service: Service) -> None:
    sale = await service.create_sale(stock=9)
    held = (await service.hold(sale, "ann", 2, key="first")).ok(201)
    (await amend(service, held["id"], {"unit": 5})).ok()
    again = await service.hold(sale, "ann", 2, key="first")
    assert again.replayed
    assert again.ok(201) == held
    (await service.hold(sale, "ann", 3, key="first")).problem(422, "idempotency-mismatch")


async def test_a_hold_is_given_to_another_customer_whose_limits_count(service: Service) -> None:
    sale = await service.create_sale(stock=9, limit=3)
    held = (await service.hold(sale, "guest", 2)).ok(201)
    given = (await transfer(service, held["id"], "ann")).ok()
    assert (given["customer"], given["items"], given["expires_at"]) == (
        "ann", held["items"], held["expires_at"],
    )  # fmt: skip
    (await service.hold(sale, "guest", 3)).ok(201)
    assert (await service.hold(sale, "ann", 2)).problem(409, "limit-reached")["limit"] == 3
    await service.buy(sale, "bob", 2)
    (await transfer(service, held["id"], "bob")).problem(409, "limit-reached")
    order = (await service.verb(held["id"], "confirm")).ok()
    assert (order["customer"], order["items"]) == ("ann", held["items"])
    (await transfer(service, held["id"], "eve")).problem(409, "reservation-confirmed")
    await service.audit(sale)


async def test_odd_requests_are_refused_by_their_own_name(service: Service) -> None:
    sale = await service.create_sale(stock=9)
    held = (await service.hold(sale, "ann", 2)).ok(201)
    order = (await service.buy(sale, "bob", 2)).ok(201)
    for id_ in (held["id"], order["id"]):
        (await amend(service, id_, {})).problem(422, "invalid-request")
        (await amend(service, id_, {"unit": 0})).problem(422, "invalid-request")
        (await amend(service, id_, {"hat": 1})).problem(404, "unknown-item")
    problem = (await cancel(service, order["id"], {"unit": 3})).problem(422, "invalid-request")
    assert (problem["sku"], problem["available"]) == ("unit", 2)
    problem = (await cancel(service, order["id"], {"hat": 1})).problem(422, "invalid-request")
    assert (problem["sku"], problem["available"]) == ("hat", 0)
    for items in (None, [], "unit"):
        body = {"restock": True, "items": items}
        answer = await service.call("POST", f"/v1/orders/{order['id']}/cancel", body, admin=True)
        answer.problem(422, "invalid-request")
    (await cancel(service, held["id"], {"unit": 1})).problem(409, "reservation-held")
    for id_ in (f"{sale}.{'0' * 24}", "nonsense", f"{unique()}.{'0' * 24}"):
        (await amend(service, id_, {"unit": 1})).problem(404, "unknown-reservation")
        (await cancel(service, id_, {"unit": 1})).problem(404, "unknown-reservation")
        (await transfer(service, id_, "ann")).problem(404, "unknown-reservation")
    (await transfer(service, held["id"], "")).problem(422, "invalid-request")
    (await service.verb(held["id"], "release")).ok()
    (await amend(service, held["id"], {"unit": 1})).problem(409, "reservation-released")
    (await transfer(service, held["id"], "bob")).problem(409, "reservation-released")
    assert await counters(service, sale, "unit") == [(9, 0, 2)]


async def test_a_buyer_amends_only_their_own_hold_and_no_order(service: Service) -> None:
    sale = await service.create_sale(stock=9)
    tokens = [
        (await service.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": customer}))["token"]
        for customer in ("ann", "bob")
    ]
    ann, bob = ({"Authorization": f"Bearer {token}"} for token in tokens)
    held = (await service.hold(sale, "ann", 2)).ok(201)

    async def as_buyer(who: dict[str, str], verb: str, body: Any) -> Answer:
        return await service.call("POST", f"/v1/reservations/{held['id']}/{verb}", body, headers=who)

    items = {"items": lines({"unit": 3})}
    (await as_buyer(bob, "amend", items)).problem(404, "unknown-reservation")
    assert (await as_buyer(ann, "amend", items)).ok()["items"] == items["items"]
    (await as_buyer(ann, "transfer", {"customer": "bob"})).problem(403, "forbidden")
    (await service.verb(held["id"], "confirm")).ok()
    (await as_buyer(ann, "amend", {"items": lines({"unit": 1})})).problem(409, "reservation-confirmed")
    assert await counters(service, sale, "unit") == [(9, 0, 3)]


async def test_two_amends_of_one_order_at_once_come_one_after_the_other(service: Service) -> None:
    sale = await service.create_sale(stock=50, skus=AB)
    order = await take(service, "orders", sale, "ann", {"a": 20})
    answers = await asyncio.gather(
        *(cancel(service, order["id"], {"a": 1}, key=f"c{n}") for n in range(8)),
        *(amend(service, order["id"], {"a": 20, "b": n + 1}, key=f"a{n}") for n in range(4)),
    )
    words = Counter(answer.status for answer in answers)
    assert words == {200: 12}, answers
    seen = (await service.call("GET", f"/v1/reservations/{order['id']}")).ok()
    assert seen["cancelled_items"] == lines({"a": 8})
    now = {line["sku"]: line["quantity"] for line in seen["items"]}
    stock = await counters(service, sale, *AB)
    assert stock == [(50, 0, now["a"]), (50, 0, now.get("b", 0))]
    await service.audit(sale)


async def test_an_amend_meets_the_end_of_its_hold_or_its_confirm(service: Service) -> None:
    sale = await service.create_sale(stock=400, hold_seconds=1)
    holds = [(await service.hold(sale, f"c{n}", 2)).ok(201) for n in range(30)]
    answers: list[Answer] = []
    for at in range(3):
        some = [held["id"] for held in holds[at::3]]
        await asyncio.sleep(0.35)
        answers += await asyncio.gather(
            *(amend(service, id_, {"unit": 3}, admin=False) for id_ in some),
            *(service.verb(id_, "confirm") for id_ in some),
        )
    codes = {answer.body.get("code", answer.body["status"]) for answer in answers}
    assert codes <= {"held", "confirmed", "reservation-confirmed", "reservation-expired"}
    confirmed = {a.body["id"]: a.body["items"] for a in answers if a.body.get("status") == "confirmed"}
    for id_, items in confirmed.items():
        assert (await service.call("GET", f"/v1/reservations/{id_}")).ok()["items"] == items
    sold = sum(line["quantity"] for items in confirmed.values() for line in items)
    await asyncio.sleep(1.1)
    assert (await service.item(sale))["sold"] == sold
    await service.audit(sale)


async def test_a_receipt_confirms_late_what_the_hold_was_last(service: Service) -> None:
    sale = await service.create_sale(stock=9, hold_seconds=1)
    held = (await service.hold(sale, "ann", 2)).ok(201)
    changed = (await amend(service, held["id"], {"unit": 3})).ok()
    await asyncio.sleep(1.2)
    path = f"/v1/reservations/{held['id']}/confirm"
    problem = (await service.call("POST", path, {"receipt": held["receipt"]})).problem(
        409, "reservation-expired"
    )
    assert "amended" in problem["detail"]
    order = (await service.call("POST", path, {"receipt": changed["receipt"]})).ok()
    assert order["items"] == lines({"unit": 3})
    await service.audit(sale)


async def test_items_of_an_order_of_a_sale_that_memory_has_forgotten_can_be_cancelled(
    service: Service, ledger: asyncpg.Connection
) -> None:
    sale = await service.create_sale(stock=9)
    order = (await service.buy(sale, "ann", 4)).ok(201)
    await service.admin("POST", f"/v1/sales/{sale}/close")
    await ledger.execute(
        "UPDATE flashguard.sales SET closed_at = now() - interval '3 days' WHERE id = $1", sale
    )
    async with asyncio.timeout(30):  # the recorder forgets it at its next look
        while (await service.audit(sale))["items"][0]["memory_stock"] is not None:
            await asyncio.sleep(0.1)
    one = (await cancel(service, order["id"], {"unit": 1}, key="k1")).ok()
    assert (one["items"], one["cancelled_items"]) == (lines({"unit": 3}), lines({"unit": 1}))
    again = await cancel(service, order["id"], {"unit": 1}, key="k1")
    assert again.replayed
    assert again.ok() == one
    (await cancel(service, order["id"], {"unit": 4}, key="k2")).problem(422, "invalid-request")
    (await amend(service, order["id"], {"unit": 1})).problem(409, "sale-not-open")
    (await cancel(service, order["id"], {"unit": 1}, key="k3", restock=False)).ok()
    last = (await cancel(service, order["id"], {"unit": 2}, key="k4")).ok()
    assert (last["status"], last["cancelled_items"]) == ("cancelled", lines({"unit": 2}))
    row = await ledger.fetchrow("SELECT stock, held, sold FROM flashguard.items WHERE sale_id = $1", sale)
    assert tuple(row) == (8, 0, 0)
    await service.audit(sale)


async def test_a_part_of_an_order_gives_its_pools_back_also_when_memory_has_forgotten_the_sale(
    service: Service, ledger: asyncpg.Connection
) -> None:
    items = [
        {"sku": sku, "name": sku, "price_minor": 1, "currency": "EUR", "uses": uses}
        for sku, uses in (
            ("pass", [{"pool": "fri", "quantity": 1}, {"pool": "sat", "quantity": 1}]),
            ("friday", [{"pool": "fri", "quantity": 1}]),
        )
    ]
    pools = [{"id": "fri", "name": "Friday", "stock": 9}, {"id": "sat", "name": "Saturday", "stock": 9}]
    sale = await service.create_sale(items=items, pools=pools)

    async def sold() -> dict[str, int]:
        seen = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
        return {pool["id"]: pool["sold"] for pool in seen["pools"]}

    order = await take(service, "orders", sale, "ann", {"pass": 4})
    (await amend(service, order["id"], {"pass": 3, "friday": 3})).ok()
    assert await sold() == {"fri": 6, "sat": 3}
    (await amend(service, order["id"], {"pass": 3, "friday": 7})).problem(409, "sold-out")
    (await cancel(service, order["id"], {"friday": 1})).ok()
    assert await sold() == {"fri": 5, "sat": 3}
    await service.audit(sale)
    await service.admin("POST", f"/v1/sales/{sale}/close")
    await ledger.execute(
        "UPDATE flashguard.sales SET closed_at = now() - interval '3 days' WHERE id = $1", sale
    )
    async with asyncio.timeout(30):
        while (await service.audit(sale))["items"][0]["memory_stock"] is not None:
            await asyncio.sleep(0.1)
    (await cancel(service, order["id"], {"pass": 2})).ok()
    assert await sold() == {"fri": 3, "sat": 1}
    await service.audit(sale)
    (await cancel(service, order["id"], {"pass": 1, "friday": 2})).ok()
    assert await sold() == {"fri": 0, "sat": 0}
    await service.audit(sale)


@pytest.fixture
async def ledger(service: Service) -> Any:
    connection = await asyncpg.connect(service.database_url)
    yield connection
    await connection.close()
