"""Imports: all sales of a file or none, and every line that is wrong by its number."""

import asyncio
import io
import json
from typing import Any

import pytest

from tests.support.service import Answer, Service, unique

HEADER = "sale,sale_name,starts_at,hold_seconds,limit_per_customer,sku,name,price_minor,currency,stock"


async def imported(
    service: Service, file: str | bytes, kind: str = "text/csv", *, query: str = "", **more: Any
) -> Answer:
    headers = service.admin_headers | {"Content-Type": kind}
    return await service.call(
        "POST",
        f"/v1/imports{query}",
        headers=headers,
        data=io.BytesIO(file.encode() if isinstance(file, str) else file),
        **more,
    )


def csv_of(*rows: str) -> str:
    return "\n".join((HEADER, *rows, ""))


async def exists(service: Service, sale: str) -> bool:
    return (await service.call("GET", f"/v1/sales/{sale}", admin=True)).status == 200


async def test_a_csv_file_becomes_sales_that_can_be_opened_and_sold(service: Service) -> None:
    one, two = unique(), unique()
    file = csv_of(
        f'{one},"Shoes, red",2030-01-01T10:00:00+00:00,90,2,red-42,Red 42,4999,EUR,100',
        f"{one},,,,,red-43,,4999,EUR,50",
        "",
        f"{two},,,,,mug,Mug,999,EUR,7",
        f"{one},,,90,2,red-44,,4999,EUR,0",
    )
    answer = (await imported(service, "﻿" + file)).ok(201)
    assert answer == {"dry_run": False, "sales": [{"id": one, "items": 3}, {"id": two, "items": 1}]}
    sale = (await service.call("GET", f"/v1/sales/{one}", admin=True)).ok()
    assert (sale["name"], sale["status"], sale["hold_seconds"]) == ("Shoes, red", "draft", 90)
    assert (sale["starts_at"], sale["limit_per_customer"]) == ("2030-01-01T10:00:00Z", 2)
    assert [(item["sku"], item["name"], item["stock"]) for item in sale["items"]] == [
        ("red-42", "Red 42", 100), ("red-43", "red-43", 50), ("red-44", "red-44", 0),
    ]  # fmt: skip
    await service.admin("POST", f"/v1/sales/{two}/open")
    body = {"customer": "ann", "items": [{"sku": "mug", "quantity": 7}]}
    (await service.call("POST", f"/v1/sales/{two}/orders", body)).ok(201)
    await service.audit(two)


POOLS = "sale,sku,pool,name,price_minor,currency,stock,uses"


async def test_a_csv_file_has_pools_and_what_items_draw_from_them(service: Service) -> None:
    sale = unique()
    file = "\n".join((
        POOLS, f"{sale},,friday,The Friday,,,500,", f"{sale},pass,,,9900,EUR,,friday | saturday",
        f"{sale},,saturday,,,,400,", f"{sale},family,,,20000,EUR,50,friday:4", f"{sale},hat,,,900,EUR,7,", "",
    ))  # fmt: skip
    answer = (await imported(service, file)).ok(201)
    assert answer["sales"] == [{"id": sale, "items": 3}]
    made = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
    assert [(pool["id"], pool["name"], pool["stock"]) for pool in made["pools"]] == [
        ("friday", "The Friday", 500), ("saturday", "saturday", 400),
    ]  # fmt: skip
    assert [(item["sku"], item["stock"], item["available"]) for item in made["items"]] == [
        ("pass", None, 400), ("family", 50, 50), ("hat", 7, 7),
    ]  # fmt: skip
    await service.admin("POST", f"/v1/sales/{sale}/open")
    body = {"customer": "ann", "items": [{"sku": "family", "quantity": 2}, {"sku": "pass", "quantity": 1}]}
    (await service.call("POST", f"/v1/sales/{sale}/orders", body)).ok(201)
    sold = (await service.call("GET", f"/v1/sales/{sale}")).ok()["pools"]
    assert {pool["id"]: pool["sold"] for pool in sold} == {"friday": 9, "saturday": 1}


PLACES = "sale,sku,location,name,price_minor,currency,stock,stock_by_location,item_limit"


async def test_a_csv_file_has_locations_and_limits_of_items(service: Service) -> None:
    sale = unique()
    text = "\n".join([
        PLACES, f"{sale},,berlin,Warehouse Berlin,,,,,", f"{sale},,hamburg,,,,,,",
        f"{sale},shoe,,Shoe,8900,EUR,,berlin:2|hamburg:3,1", f"{sale},sock,,Sock,900,EUR,7,,",
    ])  # fmt: skip
    (await imported(service, text)).ok(201)
    await service.admin("POST", f"/v1/sales/{sale}/open")
    made = (await service.call("GET", f"/v1/sales/{sale}")).ok()
    assert made["locations"] == [
        {"id": "berlin", "name": "Warehouse Berlin"}, {"id": "hamburg", "name": "hamburg"},
    ]  # fmt: skip
    shoe, sock = made["items"]
    assert [(at["id"], at["stock"]) for at in shoe["locations"]] == [("berlin", 2), ("hamburg", 3)]
    assert (shoe["limit_per_customer"], sock["limit_per_customer"], sock["stock"]) == (1, None, 7)


async def test_a_wrong_line_about_a_location_is_named(service: Service) -> None:
    sale = unique()
    text = f"{PLACES}\n{sale},shoe,berlin,,,,3,,\n{sale},shoe,,Shoe,8900,EUR,,berlin:x,"
    errors = (await imported(service, text)).problem(422, "invalid-request")["errors"]
    assert [(each["where"], each["what"]) for each in errors] == [
        ("line 2", f"{name}: a location has none") for name in ("sku", "stock")
    ]
    text = f"{PLACES}\n{sale},,berlin,,,,,,\n{sale},shoe,,Shoe,8900,EUR,,berlin:x,"
    errors = (await imported(service, text)).problem(422, "invalid-request")["errors"]
    assert all(each["where"].startswith("line 3") for each in errors), errors


async def test_a_wrong_line_about_a_pool_is_named(service: Service) -> None:
    sale = unique()
    file = "\n".join((
        POOLS, f"{sale},pass,friday,,100,EUR,500,", f"{sale},pass,,,9900,EUR,,friday", "",
    ))  # fmt: skip
    errors = (await imported(service, file)).problem(422, "invalid-request")["errors"]
    assert [(each["where"], each["what"]) for each in errors] == [
        ("line 2", f"{name}: a pool has none") for name in ("sku", "price_minor", "currency")
    ]
    file = "\n".join((
        POOLS, f"{sale},,friday,,,,-1,", f"{sale},pass,,,9900,EUR,,friday:0", f"{sale},fri,,,1,EUR,,", "",
    ))  # fmt: skip
    errors = (await imported(service, file)).problem(422, "invalid-request")["errors"]
    assert [each["where"] for each in errors] == [
        "line 2: stock",
        "line 3: uses: 0: quantity",
        "line 4: stock",
    ]


async def test_a_json_file_is_sales_as_the_api_takes_them(service: Service) -> None:
    sales = [
        {
            "id": unique(), "name": "One", "hold_seconds": 30, "cool_down_seconds": 60,
            "items": [{"sku": "a", "name": "A", "price_minor": 1, "currency": "EUR", "stock": n}],
        }
        for n in (1, 2)
    ]  # fmt: skip
    for file in (sales[:1], {"sales": sales[1:]}):
        (await imported(service, json.dumps(file), "application/json; charset=utf-8")).ok(201)
    assert [(await service.item(sale["id"], "a"))["stock"] for sale in sales] == [1, 2]


async def test_every_wrong_line_is_named_and_nothing_is_imported(service: Service) -> None:
    good, bad = unique(), unique()
    file = csv_of(
        f"{good},,,,,a,A,1,EUR,5",
        f"{bad},,2030-01-01,,,a,A,1,EUR,5",
        f"{bad},,,,,b,B,-1,EUR,5",
        f"{bad},,,,,c,C,1,euro,5",
        f"{bad},,,,,d,D,1,EUR,1.5",
        f"{good},,,,,,A,1,EUR,5",
    )
    errors = (await imported(service, file)).problem(422, "invalid-request")["errors"]
    assert [each["where"] for each in errors] == [
        "line 3: starts_at", "line 4: price_minor", "line 5: currency", "line 6: stock", "line 7: sku",
    ]  # fmt: skip
    assert not await exists(service, good)
    assert not await exists(service, bad)

    file = csv_of(
        f"{good},A name,,,,a,A,1,EUR,5",
        f"{good},Another,,,,b,B,1,EUR,5",
        f"{good},,,,,a,A,1,EUR,5",
        f"{good},,,",
    )
    errors = (await imported(service, file)).problem(422, "invalid-request")["errors"]
    assert [(each["where"], each["what"]) for each in errors] == [
        ("line 3", "name differs from the sale's first line"),
        ("line 4", "sku 'a' is already in line 2"),
        ("line 5", "has 4 cells, the header 10"),
    ]
    assert not await exists(service, good)


async def test_an_id_that_exists_stops_the_whole_import(service: Service) -> None:
    taken, new = await service.create_sale(opened=False), unique()
    answer = await imported(service, csv_of(f"{new},,,,,a,A,1,EUR,5", f"{taken},,,,,a,A,1,EUR,5"))
    [error] = answer.problem(422, "invalid-request")["errors"]
    assert error == {"where": "line 3: id", "what": "a sale with this id exists"}
    assert not await exists(service, new)


async def test_a_dry_run_says_the_same_and_writes_nothing(service: Service) -> None:
    sale = unique()
    file = csv_of(f"{sale},,,,,a,A,1,EUR,5")
    assert (await imported(service, file, query="?dry_run=true")).ok(201)["dry_run"]
    assert not await exists(service, sale)
    (await imported(service, file)).ok(201)
    (await imported(service, file, query="?dry_run=true")).problem(422, "invalid-request")


async def test_the_same_key_imports_once(service: Service) -> None:
    file = csv_of(f"{unique()},,,,,a,A,1,EUR,5", f"{unique()},,,,,a,A,1,EUR,5")
    key = unique("key")
    answers = await asyncio.gather(*(imported(service, file, key=key) for _ in range(3)))
    bodies = [each.ok(201) for each in answers]
    assert bodies == bodies[:1] * 3
    assert sorted(each.replayed for each in answers) == [False, True, True]
    (await imported(service, file)).problem(422, "invalid-request")
    (await imported(service, file.replace(",5", ",6"), key=key)).problem(422, "idempotency-mismatch")


LIES: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "text/csv"),
    "a header alone": (HEADER, "text/csv"),
    "a missing column": ("sale,sku\na,b\n", "text/csv"),
    "an unknown column": (HEADER + ",colour\n", "text/csv"),
    "a quote that does not end": (csv_of('x,"y'), "text/csv"),
    "a NUL": (csv_of("x\0,,,,,a,A,1,EUR,5"), "text/csv"),
    "no UTF-8": (b"\xff\xfe", "text/csv"),
    "no id": ('[{"name": "x", "items": []}]', "application/json"),
    "no JSON": ('{"sales": [', "application/json"),
    "deep JSON": ("[" * 100_000, "application/json"),
    "a huge number": ('[{"id": ' + "9" * 10_000 + "}]", "application/json"),
    "a lone surrogate": ('[{"id": "x", "name": "\\ud800", "items": []}]', "application/json"),
    "a number": ("7", "application/json"),
    "more beside the sales": ('{"sales": [], "more": 1}', "application/json"),
    "a list of numbers": ("[1, 2]", "application/json"),
    "too many sales": (csv_of(*(f"s{n},,,,,a,A,1,EUR,5" for n in range(101))), "text/csv"),
    "too many items": (csv_of(*(f"s,,,,,i{n},A,1,EUR,5" for n in range(10_001))), "text/csv"),
    "something else": ("<sales/>", "application/xml"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_file_that_is_something_else_is_refused(service: Service, lie: str) -> None:
    problem = (await imported(service, *LIES[lie])).problem(422, "invalid-request")
    assert len(problem["detail"]) < 2_000
    assert len(problem.get("errors", [])) <= 100


async def test_a_file_is_bounded_and_only_an_admin_imports(service: Service) -> None:
    (await imported(service, b"x" * (2 * 1024 * 1024 + 1))).problem(413, "invalid-request")
    answer = await service.call("POST", "/v1/imports", data=HEADER, headers={"Content-Type": "text/csv"})
    answer.problem(401, "unauthenticated")


async def test_an_imports_key_with_another_file_is_a_mismatch(service: Service) -> None:
    one, two, three, key = unique(), unique(), unique(), unique()
    lines = {sale: f"{sale},,,,,a,A,1,EUR,5" for sale in (one, two, three)}
    first = csv_of(lines[one], lines[two])
    (await imported(service, first, key=key)).ok(201)
    assert (await imported(service, first, key=key)).replayed
    for wrong in ((three,), (one,), (one, two, three), (two, one)):
        answer = await imported(service, csv_of(*(lines[sale] for sale in wrong)), key=key)
        answer.problem(422, "idempotency-mismatch")
    (await service.call("GET", f"/v1/sales/{three}", admin=True)).problem(404, "unknown-sale")
