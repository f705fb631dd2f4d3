"""Orders after the sale: taken back once, told as they are, read by the shop's own programs."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.support.service import Answer, Service

READER = "shop_reader_of_a_test"


async def cancel(service: Service, order: str, *, restock: bool = True, **more: Any) -> Answer:
    body = {"restock": restock, **more}
    return await service.call("POST", f"/v1/orders/{order}/cancel", body, admin=True)


async def ordered(service: Service, sale: str, customer: str = "ann", quantity: int = 1) -> dict[str, Any]:
    return (await service.buy(sale, customer, quantity, key=f"{sale}-{customer}")).ok(201)


async def test_a_refunded_order_gives_its_units_back_and_frees_the_limit(service: Service) -> None:
    sale = await service.create_sale(stock=5, limit=2)
    order = await ordered(service, sale, quantity=2)
    (await service.buy(sale, "ann")).problem(409, "limit-reached")
    answer = (await cancel(service, order["id"], reason="wrong size")).ok()
    assert answer["cancelled_at"] > answer["confirmed_at"] == order["confirmed_at"]
    told = {"status": "cancelled", "restocked": True, "cancel_reason": "wrong size"}
    assert answer == order | told | {"cancelled_at": answer["cancelled_at"]}
    item = await service.item(sale)
    assert (item["stock"], item["available"], item["held"], item["sold"]) == (5, 5, 0, 0)
    await ordered(service, sale, "ann-again", quantity=2)
    (await service.buy(sale, "ann", 2)).ok(201)
    await service.audit(sale)


async def test_units_that_are_not_put_back_leave_the_stock_with_the_order(service: Service) -> None:
    sale = await service.create_sale(stock=5)
    order = await ordered(service, sale, quantity=2)
    assert (await cancel(service, order["id"], restock=False)).ok()["restocked"] is False
    item = await service.item(sale)
    assert (item["stock"], item["available"], item["held"], item["sold"]) == (3, 3, 0, 0)
    assert (await service.audit(sale))["items"][0]["stock"] == 3


async def test_a_second_cancel_changes_nothing_whatever_it_asks_for(service: Service) -> None:
    sale = await service.create_sale(stock=5)
    order = await ordered(service, sale, quantity=2)
    first, *others = await asyncio.gather(
        *(cancel(service, order["id"], restock=n % 2 == 0) for n in range(6))
    )
    bodies = [each.body for each in (first, *others) if each.status == 200]
    assert bodies
    assert all(body == bodies[0] for body in bodies)
    again = await cancel(service, order["id"], restock=not bodies[0]["restocked"])
    assert again.replayed
    assert again.ok() == bodies[0]
    stock = 5 if bodies[0]["restocked"] else 3
    assert (await service.item(sale))["available"] == stock
    await service.audit(sale)


async def test_what_follows_a_cancel_is_refused_by_its_own_name(service: Service) -> None:
    sale = await service.create_sale(stock=5)
    held = (await service.hold(sale, "ann")).ok(201)
    (await cancel(service, held["id"])).problem(409, "reservation-held")
    (await service.verb(held["id"], "confirm")).ok()
    (await cancel(service, held["id"])).ok()
    for verb in ("confirm", "release", "extend"):
        (await service.verb(held["id"], verb)).problem(409, "reservation-cancelled")
    seen = (await service.call("GET", f"/v1/reservations/{held['id']}")).ok()
    assert (seen["status"], seen["restocked"]) == ("cancelled", True)
    let_go = (await service.hold(sale, "bob")).ok(201)
    await service.verb(let_go["id"], "release")
    (await cancel(service, let_go["id"])).problem(409, "reservation-released")


async def test_the_key_of_a_cancelled_order_still_answers_its_first_outcome(service: Service) -> None:
    sale = await service.create_sale(stock=5)
    order = await ordered(service, sale)
    (await cancel(service, order["id"])).ok()
    again = await service.buy(sale, "ann", key=f"{sale}-ann")
    assert again.replayed
    assert again.ok(201) == order
    assert (await service.item(sale))["sold"] == 0


async def test_nobody_cancels_what_is_no_order_or_without_the_right(service: Service) -> None:
    sale = await service.create_sale(stock=5)
    order = await ordered(service, sale)
    (await cancel(service, f"{sale}.{'0' * 24}")).problem(404, "unknown-reservation")
    (await cancel(service, "nonsense")).problem(404, "unknown-reservation")
    (await service.call("POST", f"/v1/orders/{order['id']}/cancel", {"restock": True})).problem(
        401, "unauthenticated"
    )
    for body in ({}, {"restock": "yes"}, {"restock": True, "reason": ""}, {"restock": True, "why": "x"}):
        answer = await service.call("POST", f"/v1/orders/{order['id']}/cancel", body, admin=True)
        answer.problem(422, "invalid-request")
    assert (await service.item(sale))["sold"] == 1


async def test_an_order_of_a_sale_that_memory_has_forgotten_can_be_cancelled(
    service: Service, ledger: asyncpg.Connection
) -> None:
    sale = await service.create_sale(stock=5)
    back, gone = await ordered(service, sale, "a", 2), await ordered(service, sale, "b")
    await service.admin("POST", f"/v1/sales/{sale}/close")
    await ledger.execute(
        "UPDATE flashguard.sales SET closed_at = now() - interval '30 days' WHERE id = $1", sale
    )
    async with asyncio.timeout(30):  # the recorder forgets it at its next look
        while (await service.audit(sale))["items"][0]["memory_stock"] is not None:
            await asyncio.sleep(0.1)
    answers = await asyncio.gather(*(cancel(service, back["id"]) for _ in range(3)))
    assert [each.ok()["restocked"] for each in answers] == [True] * 3
    assert sorted(each.replayed for each in answers) == [False, True, True]
    assert (await cancel(service, gone["id"], restock=False)).ok()["status"] == "cancelled"
    item = await service.item(sale)
    assert (item["stock"], item["available"], item["sold"]) == (4, 4, 0)
    await service.audit(sale)


async def test_orders_come_by_page_time_and_status(service: Service) -> None:
    sale = await service.create_sale(stock=20)
    orders = [await ordered(service, sale, f"c{n}") for n in range(7)]
    await cancel(service, orders[3]["id"])

    async def ids(query: str) -> list[str]:
        found: list[str] = []
        cursor = ""
        while True:
            page = await service.admin("GET", f"/v1/sales/{sale}/orders?limit=2&{query}{cursor}")
            assert len(page["data"]) <= 2
            found += [each["id"] for each in page["data"]]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    every = [each["id"] for each in orders]
    assert await ids("") == every
    assert await ids("status=cancelled") == [every[3]]
    assert await ids("status=confirmed") == every[:3] + every[4:]
    since, until = (orders[n]["confirmed_at"].replace("+", "%2B") for n in (2, 5))
    assert await ids(f"since={since}&until={until}") == every[2:5]
    assert await ids(f"since={since}&newest=true") == every[:1:-1]
    for wrong in ("status=held", "since=yesterday", "since=2026-01-01T00:00:00", "limit=501", "limit=0"):
        answer = await service.call("GET", f"/v1/sales/{sale}/orders?{wrong}", admin=True)
        answer.problem(422, "invalid-request")


async def test_a_page_that_was_read_stays_as_it_was_while_orders_come_in(service: Service) -> None:
    sale = await service.create_sale(stock=50)
    first = [(await ordered(service, sale, f"c{n}"))["id"] for n in range(4)]
    page = await service.admin("GET", f"/v1/sales/{sale}/orders?limit=3")
    later = [(await ordered(service, sale, f"d{n}"))["id"] for n in range(4)]
    rest = await service.admin("GET", f"/v1/sales/{sale}/orders?limit=500&cursor={page['next_cursor']}")
    assert [each["id"] for each in page["data"] + rest["data"]] == first + later


async def test_without_providers_an_order_has_no_payment(service: Service) -> None:
    sale = await service.create_sale()
    order = (await service.buy(sale, "ann")).ok(201)
    page = (await service.call("GET", f"/v1/sales/{sale}/orders", admin=True)).ok()["data"]
    assert page == [order | {"receipt": None, "payment": None}]
    assert (await service.call("GET", f"/v1/orders/{order['id']}", admin=True)).ok()["payment"] is None


async def test_csv_tells_what_was_sold_at_which_price_and_taken_back(service: Service) -> None:
    sale = await service.create_sale(stock=5)
    kept, back = await ordered(service, sale, "ann", 2), await ordered(service, sale, "=cmd()")
    cancelled = (await cancel(service, back["id"], restock=False, reason="=1+1")).ok()
    answer = await service.call("GET", f"/v1/sales/{sale}/orders?format=csv", admin=True)
    rows = list(csv.DictReader(io.StringIO(answer.body)))
    assert [row["order_id"] for row in rows] == [kept["id"], back["id"]]
    assert rows[0] == {
        "order_id": kept["id"], "customer": "ann", "confirmed_at": rows[0]["confirmed_at"], "sku": "unit",
        "quantity": "2", "status": "confirmed", "price_minor": "1999", "currency": "EUR", "cancelled_at": "",
        "restocked": "", "cancel_reason": "", "reference": "", "metadata": "", "allocations": "",
        "payment_id": "", "payment_provider": "", "payment_status": "", "payment_amount_minor": "",
        "payment_currency": "", "payment_refunded_minor": "",
    }  # fmt: skip
    assert rows[1]["cancelled_at"][:19] == cancelled["cancelled_at"][:19]
    assert (rows[1]["status"], rows[1]["restocked"]) == ("cancelled", "false")
    assert (rows[1]["customer"], rows[1]["cancel_reason"]) == ("'=cmd()", "'=1+1")
    only = await service.call("GET", f"/v1/sales/{sale}/orders?format=csv&status=cancelled", admin=True)
    assert only.body.count("\n") == 2


@pytest.fixture
async def ledger(service: Service) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(service.database_url)
    yield connection
    await connection.close()


async def test_a_role_of_the_shop_reads_orders_and_nothing_else(
    service: Service, ledger: asyncpg.Connection
) -> None:
    sale = await service.create_sale(stock=5)
    kept, back = await ordered(service, sale, "ann", 2), await ordered(service, sale, "bob")
    await cancel(service, back["id"], reason="late")
    await ledger.execute(f"CREATE ROLE {READER}")
    try:
        await ledger.execute(f"GRANT USAGE ON SCHEMA flashguard TO {READER}")
        await ledger.execute(f"GRANT SELECT ON flashguard.orders_for_shop TO {READER}")
        await ledger.execute(f"SET ROLE {READER}")
        rows = await ledger.fetch(
            "SELECT * FROM flashguard.orders_for_shop WHERE sale_id = $1 ORDER BY confirmed_at", sale
        )
        for table in ("reservations", "installation", "webhook_endpoints"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await ledger.fetch(f"SELECT * FROM flashguard.{table}")
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await ledger.execute("DELETE FROM flashguard.orders_for_shop")
    finally:
        await ledger.execute("RESET ROLE")
        await ledger.execute(f"DROP OWNED BY {READER}")
        await ledger.execute(f"DROP ROLE {READER}")
    assert [row["order_id"] for row in rows] == [kept["id"], back["id"]]
    first, second = (dict(row) for row in rows)
    assert (first["sku"], first["quantity"], first["amount_minor"], first["currency"]) == (
        "unit",
        2,
        3998,
        "EUR",
    )
    assert (first["status"], first["cancelled_at"]) == ("confirmed", None)
    assert (second["status"], second["restocked"], second["cancel_reason"]) == ("cancelled", True, "late")
