"""What a shop attaches to a hold or an order: kept, answered, found again, and part of the request."""

import asyncio
import csv
import json
from typing import Any

import asyncpg
import pytest

from tests.support.service import Answer, Service, unique

ATTACHED = {"reference": "Cart №7", "metadata": {"channel": "app", "note": "a\nb ä"}}


async def take(
    service: Service, noun: str, sale: str, customer: str = "ann", *, key: str | None = None, **attached: Any
) -> Answer:
    body = {"customer": customer, "items": [{"sku": "unit", "quantity": 1}]} | attached
    return await service.call("POST", f"/v1/sales/{sale}/{noun}", body, key=key)


def of(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("reference", "metadata") if name in row}


@pytest.mark.parametrize("spread", [1, 2])
async def test_what_was_attached_is_in_every_answer_and_stays_from_hold_to_order(
    service: Service, spread: int
) -> None:
    sale = await service.create_sale(stock=20, spread=spread)
    held = (await take(service, "reservations", sale, **ATTACHED)).ok(201)
    other = (await take(service, "reservations", sale, **ATTACHED)).ok(201)
    assert of(held) == ATTACHED
    path = f"/v1/reservations/{held['id']}"
    cancel = {"restock": True, "reason": "x"}
    two, three = ({"items": [{"sku": "unit", "quantity": units}]} for units in (2, 3))
    for answer in (
        await service.call("GET", path),
        await service.verb(held["id"], "extend"),
        await service.call("GET", path),
        await service.call("POST", f"{path}/amend", two, admin=True),
        await service.call("GET", path),
        await service.verb(held["id"], "confirm"),
        await service.verb(held["id"], "confirm"),
        await service.call("GET", path),
        await service.call("GET", f"/v1/orders/{held['id']}", admin=True),
        await service.call("POST", f"{path}/amend", three, admin=True),
        await service.call("POST", f"/v1/orders/{held['id']}/cancel", cancel, admin=True),
        await service.verb(other["id"], "release"),
        await service.call("GET", f"/v1/reservations/{other['id']}"),
        await take(service, "orders", sale, **ATTACHED),
    ):
        assert of(answer.ok(answer.status)) == ATTACHED, answer
    plain = (await take(service, "reservations", sale)).ok(201)
    for row in (plain, (await service.verb(plain["id"], "confirm")).ok()):
        assert of(row) == {}
    await service.audit(sale)


@pytest.mark.parametrize("noun", ["reservations", "orders"])
async def test_it_is_part_of_the_request(service: Service, noun: str) -> None:
    sale, key = await service.create_sale(stock=20), unique("key")
    first = (await take(service, noun, sale, key=key, **ATTACHED)).ok(201)
    again = await take(service, noun, sale, key=key, **ATTACHED)
    assert (again.ok(201)["id"], of(again.body), again.replayed) == (first["id"], ATTACHED, True)
    turned = ATTACHED | {"metadata": dict(reversed(ATTACHED["metadata"].items()))}  # type: ignore[attr-defined]
    assert (await take(service, noun, sale, key=key, **turned)).replayed
    for other in ({}, {"reference": "Cart №7"}, ATTACHED | {"reference": "x"}, ATTACHED | {"metadata": {}}):
        (await take(service, noun, sale, key=key, **other)).problem(422, "idempotency-mismatch")
    plain = unique("key")
    (await take(service, noun, sale, key=plain)).ok(201)
    (await take(service, noun, sale, key=plain, reference="x")).problem(422, "idempotency-mismatch")
    assert (await take(service, noun, sale, key=plain, metadata={})).replayed  # nothing is nothing
    await service.audit(sale)


async def test_a_closed_sales_key_still_has_its_first_outcome(service: Service) -> None:
    sale, key = await service.create_sale(stock=20), unique("key")
    first = (await take(service, "orders", sale, key=key, **ATTACHED)).ok(201)
    await service.admin("POST", f"/v1/sales/{sale}/close")
    again = await take(service, "orders", sale, key=key, **ATTACHED)
    assert (again.ok(201)["id"], of(again.body), again.replayed) == (first["id"], ATTACHED, True)


async def test_orders_and_reservations_are_found_by_reference(service: Service) -> None:
    sale = await service.create_sale(stock=90, spread=2)
    night = {"reference": "night drop"}
    orders = {(await take(service, "orders", sale, unique("c"), **night)).ok(201)["id"] for _ in range(5)}
    held = (await take(service, "reservations", sale, **night)).ok(201)["id"]
    await asyncio.gather(*(take(service, "orders", sale, unique("c"), reference="day") for _ in range(5)))
    (await take(service, "orders", sale)).ok(201)
    for noun, order, wanted in (
        ("orders", "", orders),
        ("orders", "&newest=true", orders),
        ("reservations", "", orders | {held}),
    ):
        found: list[str] = []
        cursor = ""
        while True:
            path = f"/v1/sales/{sale}/{noun}?reference=night%20drop&limit=2{order}{cursor}"
            page = await service.admin("GET", path)
            found += [row["id"] for row in page["data"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert sorted(found) == sorted(wanted)
    path = f"/v1/sales/{sale}/reservations?reference=night%20drop&status=held"
    assert [row["id"] for row in (await service.admin("GET", path))["data"]] == [held]
    assert (await service.admin("GET", f"/v1/sales/{sale}/orders?reference=none"))["data"] == []


@pytest.mark.parametrize(
    "attached",
    [
        {"reference": ""}, {"reference": "a" * 129}, {"reference": 5}, {"reference": "a\nb"},
        {"reference": ["a"]}, {"metadata": {str(n): "x" for n in range(17)}}, {"metadata": {"a": "x" * 513}},
        {"metadata": {"a": 1}}, {"metadata": {"a": None}}, {"metadata": {"": "x"}},
        {"metadata": {"a" * 129: "x"}}, {"metadata": []}, {"metadata": {"a": "x\0y"}},
        {"metadata": {"a": {"b": "c"}}}, {"metadata": "x"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("noun", ["reservations", "orders"])
async def test_odd_ones_are_refused(service: Service, noun: str, attached: dict[str, Any]) -> None:
    sale = await service.create_sale(stock=1)
    (await take(service, noun, sale, **attached)).problem(422, "invalid-request")
    one = {"key": "k", "customer": "ann", "items": [{"sku": "unit", "quantity": 1}]} | attached
    batch = await service.call("POST", f"/v1/sales/{sale}/{noun}:batch", {"requests": [one]}, admin=True)
    assert batch.ok()["outcomes"][0]["problem"]["code"] == "invalid-request"
    assert (await service.item(sale))["available"] == 1


async def test_the_largest_are_kept(service: Service) -> None:
    sale = await service.create_sale(stock=2)
    large = {"reference": "€" * 128, "metadata": {f"{n:02}" + "n" * 126: "ü" * 512 for n in range(16)}}
    for noun in ("reservations", "orders"):
        row = (await take(service, noun, sale, **large)).ok(201)
        assert of(row) == large
        assert of((await service.call("GET", f"/v1/reservations/{row['id']}")).ok()) == large


async def test_a_batch_has_one_for_each_request(service: Service) -> None:
    sale = await service.create_sale(stock=9)
    lines = [{"sku": "unit", "quantity": 1}]
    plain = [{"key": f"k{n}", "customer": f"c{n}", "items": lines} for n in range(3)]
    body = {"requests": [plain[0], *(each | {"reference": each["key"]} for each in plain[1:])]}
    for replayed in (False, True):
        answer = await service.call("POST", f"/v1/sales/{sale}/orders:batch", body, admin=True)
        outcomes = answer.ok()["outcomes"]
        wanted = [{}, {"reference": "k1"}, {"reference": "k2"}]
        assert [of(one["reservation"]) for one in outcomes] == wanted
        assert {one["replayed"] for one in outcomes} == {replayed}


async def test_the_csv_and_the_shops_view_have_it(service: Service) -> None:
    sale = await service.create_sale(stock=9)
    order = (await take(service, "orders", sale, reference="=1+1", metadata={"a": "b"})).ok(201)["id"]
    plain = (await take(service, "orders", sale, "bob")).ok(201)["id"]
    text = (await service.call("GET", f"/v1/sales/{sale}/orders?format=csv", admin=True)).body
    rows = {row["order_id"]: row for row in csv.DictReader(text.splitlines())}
    assert (rows[order]["reference"], json.loads(rows[order]["metadata"])) == ("'=1+1", {"a": "b"})
    assert (rows[plain]["reference"], rows[plain]["metadata"]) == ("", "")
    connection = await asyncpg.connect(service.database_url)
    query = "SELECT order_id, reference, metadata FROM flashguard.orders_for_shop WHERE sale_id = $1"
    found = {
        row["order_id"]: (row["reference"], row["metadata"]) for row in await connection.fetch(query, sale)
    }
    await connection.close()
    assert found == {order: ("=1+1", '{"a": "b"}'), plain: (None, None)}


async def test_a_late_confirm_keeps_it(service: Service) -> None:
    sale = await service.create_sale(stock=2, hold_seconds=1)
    held = (await take(service, "reservations", sale, **ATTACHED)).ok(201)
    path = f"/v1/reservations/{held['id']}"
    async with asyncio.timeout(30):
        while (expired := (await service.call("GET", path)).ok())["status"] != "expired":
            await asyncio.sleep(0.05)
    assert of(expired) == ATTACHED
    confirmed = await service.call("POST", f"{path}/confirm", {"receipt": held["receipt"]})
    assert (confirmed.ok()["status"], of(confirmed.body)) == ("confirmed", ATTACHED)
    await service.audit(sale)
